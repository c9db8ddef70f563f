"""What the project is made of that others wrote: a list of it, its licences, what is known to be wrong with it."""
