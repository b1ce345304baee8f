"""The one kind of error that the commands of training tell without a traceback."""


class TrainingError(ValueError):
    """Something that a person can mend; the message says how."""
