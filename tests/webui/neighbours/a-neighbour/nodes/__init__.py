OWNER = "a-neighbour"
