"""The taxonomy: reasons, sentiments and triggers as versioned data. Plain values; pyyaml and the standard library only."""
