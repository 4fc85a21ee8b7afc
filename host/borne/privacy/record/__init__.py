"""What the data protection officer gets, made of the policy table and of the settings of the fleet."""
