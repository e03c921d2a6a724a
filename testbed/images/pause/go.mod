module decco.platform9.com/testbed/images/pause

go 1.26
