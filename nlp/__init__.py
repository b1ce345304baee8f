"""From a text to an analysis: preprocessing, keyword engine, triggers. Knows no HTTP and no training stack."""
