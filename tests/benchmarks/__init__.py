"""What ``make bench`` measures: of the machine it runs on, so compare figures of one machine only."""
