"""borne fleet: the commands of a whole street, in one table."""
