module decco.platform9.com/testbed/images/echo

go 1.26

require github.com/coder/websocket v1.8.15
