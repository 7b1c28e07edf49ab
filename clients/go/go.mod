module boxtokenbroker

go 1.19
