module checks

go 1.19

require boxtokenbroker v0.0.0

replace boxtokenbroker => ../client
