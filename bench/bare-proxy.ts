/** The least that Node does for a proxied query: sockets in pairs, bytes passed on as they come. Port of the server in, port of the proxy out. */
import net from 'node:net'

const serverPort = Number(process.argv[2])
const proxy = net.createServer({ noDelay: true }, (client) => {
  const server = net.connect({ host: '127.0.0.1', port: serverPort, noDelay: true })
  client.on('data', (chunk) => void server.write(chunk))
  server.on('data', (chunk) => void client.write(chunk))
  const end = (): void => {
    client.destroy()
    server.destroy()
  }
  for (const socket of [client, server]) socket.on('error', end).on('close', end)
})
proxy.listen(0, '127.0.0.1', () => process.stdout.write(`PORT ${(proxy.address() as net.AddressInfo).port}\n`))
process.stdin.on('end', () => process.exit(0)).resume()
