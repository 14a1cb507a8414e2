OWNER = "z-neighbour"
