"""What an environment costs a month: an estimate from its templates, a dated table of prices and stated assumptions."""
