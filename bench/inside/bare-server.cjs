// What the checker's memory is held against: the least HTTP server. CommonJS as the bundles are, so that neither
// process carries the ESM loader or the type stripper.
const { createServer } = require('node:http');

createServer((_request, response) => response.end('ok\n')).listen(Number(process.argv[2]), () => {
  process.stdout.write('ready\n');
});
