// A web server with one dependency, which lies packed in vendor/.
const { createServer } = require("node:http");
const { greet } = require("greeting");

const server = createServer((request, response) => {
	response.end(request.url === "/env" ? `${process.version}\n` : `${greet("node")}\n`);
});
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
