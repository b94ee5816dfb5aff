/**
 * Runs inside the VS Code of a test: takes JavaScript from the test over a socket, runs it in the extension host, and sends back
 * what it returned; and starts the language servers that a user has beside ours. One JSON object a line, both ways.
 */

const net = require('node:net');
const vscode = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

const AsyncFunction = (async () => {}).constructor;

async function activate(context) {
  for (const { name, command } of JSON.parse(process.env.GLOSSATOR_TEST_CHECKERS ?? '[]')) {
    const [program, ...args] = command;
    const client = new LanguageClient(name, name, { command: program, args }, { documentSelector: [{ scheme: 'file', language: 'python' }] });
    context.subscriptions.push(client);
    await client.start();
  }
  const socket = net.connect(process.env.GLOSSATOR_TEST_SOCKET);
  context.subscriptions.push(new vscode.Disposable(() => socket.destroy()));
  let received = '';
  socket.setEncoding('utf8');
  socket.on('data', (data) => {
    const lines = (received + data).split('\n');
    received = lines.pop();
    for (const line of lines) {
      void answer(socket, JSON.parse(line));
    }
  });
}

async function answer(socket, { id, code, deadline }) {
  const end = Date.now() + (deadline ?? 0) * 1000;
  let told;
  do {
    try {
      told = { id, ok: true, result: await new AsyncFunction('vscode', code)(vscode) };
    } catch (problem) {
      told = { id, ok: false, result: String(problem?.stack ?? problem) };
    }
    if (deadline === undefined || (told.ok && told.result)) {
      break;
    }
    told = { ...told, ok: false };
    await new Promise((settle) => setTimeout(settle, 50));
  } while (Date.now() < end);
  socket.write(`${JSON.stringify(told)}\n`);
}

module.exports = { activate };
