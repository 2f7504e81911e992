// Gets URL and prints status and body as JSON: an HTTP client that can be run in a namespace.
const response = await fetch(process.argv[2] ?? '');
process.stdout.write(JSON.stringify({ status: response.status, body: await response.text() }));
