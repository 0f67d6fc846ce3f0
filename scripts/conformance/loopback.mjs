// Loaded before the origin of the suite, which listens on all interfaces, and gives up idle connections that a client
// may be about to use.
import http from "node:http"
import { Server } from "node:net"

const { listen } = Server.prototype
Server.prototype.listen = function(port, ...rest) {
  if (this instanceof http.Server) this.keepAliveTimeout = 600_000
  return listen.call(this, port, "127.0.0.1", ...rest)
}
