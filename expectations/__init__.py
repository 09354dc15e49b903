"""What must be true of a day before it is published: figures that Spark gathers, and what they may be."""
