/** Client against our own server side: what happens when things break, which a real server does not do on request. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { serverStatus } from '../wire/capabilities.ts'
import { writeColumnDefinition } from '../wire/column-definition.ts'
import { com } from '../wire/commands.ts'
import { writeEof } from '../wire/eof.ts'
import { writeTextRow } from '../wire/text-row.ts'
import { Writer } from '../wire/writer.ts'
import { storedPassword } from './auth-server.ts'
import { connect } from './connect.ts'
import type { Connection } from './connection.ts'
import { ConnectionLost, errno, isSafeToRepeat, ServerError } from './errors.ts'
import { acceptClient, type ClientCommand, type ServerConnection } from './server-connection.ts'

type Fake = AsyncDisposable & { port: number; clients: ServerConnection[] }

async function fake(onCommand: (client: ServerConnection, command: ClientCommand) => void): Promise<Fake> {
  const clients: ServerConnection[] = []
  const server = net.createServer((socket) => {
    void acceptClient(socket, {
      serverVersion: '8.0.0-fake',
      threadId: 7,
      plugin: 'mysql_native_password',
      authenticate: () => storedPassword(''),
    }).then((client) => {
      if (client === null) return
      clients.push(client)
      client.onCommand((command) => onCommand(client, command))
      client.sendOk()
      client.ready()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    clients,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const textOf = (command: ClientCommand): string => command.data.toString('utf8', command.start + 1, command.end)

function resultSet(rows: string[], status: number = serverStatus.autocommit): Buffer {
  const w = new Writer()
  w.beginFrame().lenenc(1)
  let sequence = w.endFrame(1)
  writeColumnDefinition(w.beginFrame(), {
    schema: '',
    table: '',
    orgTable: '',
    name: 'a',
    orgName: '',
    charset: 45,
    length: 4,
    type: 0xfd,
    flags: 0,
    decimals: 0,
  })
  sequence = w.endFrame(sequence)
  writeEof(w.beginFrame(), { warnings: 0, status })
  sequence = w.endFrame(sequence)
  for (const row of rows) {
    writeTextRow(w.beginFrame(), [Buffer.from(row)])
    sequence = w.endFrame(sequence)
  }
  writeEof(w.beginFrame(), { warnings: 0, status })
  w.endFrame(sequence)
  return w.take()
}

function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('was to reject'),
    (error: unknown) => error,
  )
}

const open = (server: Fake): Promise<Connection> => connect({ port: server.port, user: 'u', deprecateEof: false })

test('promise 11: a statement that was sent and not answered is outcomeUnknown; one after it is nothingSent', async () => {
  await using server = await fake((client, command) => {
    if (textOf(command) === 'die') client.destroy()
    else {
      client.sendOk()
      client.ready()
    }
  })
  const connection = await open(server)
  await connection.query('fine')
  const [sent, queued] = await Promise.all([rejection(connection.query('die')), rejection(connection.query('behind it'))])
  for (const error of [sent, queued]) {
    assert.ok(error instanceof ConnectionLost)
    assert.equal(error.outcome, 'outcomeUnknown')
    assert.ok(!isSafeToRepeat(error))
  }
  const after = await rejection(connection.query('too late'))
  assert.ok(after instanceof ConnectionLost)
  assert.equal(after.outcome, 'nothingSent')
  assert.ok(isSafeToRepeat(after))
  assert.equal(connection.open, false)
})

test('answers reach their commands in order, errors among them', async () => {
  await using server = await fake((client, command) => {
    const text = textOf(command)
    if (text.startsWith('e')) client.sendErr(errno.deadlock, '40001', text)
    else client.write(resultSet([text]))
    client.ready()
  })
  await using connection = await open(server)
  const settled = await connection.pipelineSettled(Array.from({ length: 500 }, (_, i) => (i % 7 === 3 ? `e${i}` : `q${i}`)))
  settled.forEach((answer, i) => {
    if (answer.status === 'rejected') {
      assert.ok(answer.reason instanceof ServerError && answer.reason.kind === 'deadlock')
      assert.equal(answer.reason.serverMessage, `e${i}`)
    } else assert.equal(answer.value.kind === 'rows' && answer.value.rows[0]?.[0]?.toString(), `q${i}`)
  })
  const error = await rejection(connection.pipeline(['q1', 'e2', 'q3']))
  assert.ok(error instanceof ServerError && error.serverMessage === 'e2')
  assert.equal(connection.open, true)
})

test('promise 8: a stream that nobody reads holds no more than its bound, and then gives every row', async () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => `${i}:${'x'.repeat(400)}`)
  await using server = await fake((client) => {
    client.write(resultSet(rows))
    client.ready()
  })
  await using connection = await open(server)
  const stream = await connection.rows('big', { bufferBytesMax: 100_000 })
  // The server has more to send than all buffers between hold: wait until it can send no more.
  const client = server.clients[0] as ServerConnection
  for (let last = -1, same = 0; same < 20;) {
    await new Promise((resolve) => setImmediate(resolve))
    same = client.bufferedBytes === last ? same + 1 : 0
    last = client.bufferedBytes
  }
  assert.ok(stream.bufferedBytes < 100_000 + 2 * 65_536, `${stream.bufferedBytes} bytes held`)
  const seen: string[] = []
  for await (const batch of stream) for (const row of batch.rows()) seen.push(row[0]?.toString() ?? '')
  assert.deepEqual(seen, rows)
})

test('leaving a stream early drops the rest and keeps the connection', async () => {
  await using server = await fake((client, command) => {
    client.write(resultSet(textOf(command) === 'big' ? Array.from({ length: 50_000 }, () => 'y'.repeat(100)) : ['after']))
    client.ready()
  })
  await using connection = await open(server)
  for await (const batch of await connection.rows('big', { bufferBytesMax: 10_000 })) {
    assert.ok(batch.length > 0)
    break
  }
  assert.equal(await connection.value('next'), 'after')
})

test('a stream whose connection breaks gives what came, then the error', async () => {
  await using server = await fake((client) => {
    const all = resultSet(Array.from({ length: 1000 }, (_, i) => String(i)))
    client.write(all.subarray(0, all.length - 100))
    client.close()
  })
  const connection = await open(server)
  let rows = 0
  const error = await rejection(
    (async () => {
      for await (const batch of await connection.rows('x')) rows += batch.length
    })(),
  )
  assert.ok(error instanceof ConnectionLost && error.outcome === 'outcomeUnknown')
  assert.ok(rows > 900 && rows < 1000)
})

test("a relayed answer is byte for byte the server's, its end told apart", async () => {
  const answers: Record<string, Buffer> = {
    rows: resultSet(['a', 'b'.repeat(70_000), 'c']),
    many: resultSet(Array.from({ length: 9000 }, (_, i) => `row ${i}`)),
  }
  await using server = await fake((client, command) => {
    const answer = answers[textOf(command)]
    if (answer === undefined) client.sendErr(errno.optionPreventsStatement, 'HY000', 'running with the --read-only option')
    else client.write(answer)
    client.ready()
  })
  await using connection = await open(server)
  const relay = (sql: string): Promise<{ bytes: Buffer; end: unknown }> =>
    new Promise((resolve, reject) => {
      const parts: Buffer[] = []
      const payload = Buffer.concat([Buffer.from([com.query]), Buffer.from(sql)])
      const framed = Buffer.concat([Buffer.from([payload.length, 0, 0, 0]), payload])
      connection.relay(framed, {
        bytes: (frames) => parts.push(Buffer.from(frames)),
        end: (end) => resolve({ bytes: Buffer.concat([...parts, end.frame]), end }),
        fail: reject,
      })
    })
  for (const name of ['rows', 'many']) {
    const { bytes, end } = await relay(name)
    assert.ok(bytes.equals(answers[name] as Buffer))
    assert.equal((end as { kind: string; hadRows: boolean }).kind, 'ok')
    assert.equal((end as { hadRows: boolean }).hadRows, true)
  }
  const { end } = await relay('refused')
  assert.equal((end as { errno: number }).errno, errno.optionPreventsStatement)
  assert.equal((end as { hadRows: boolean }).hadRows, false)
})

test('promise 8: a packet stream that nobody pulls holds no more than its bound', async () => {
  const event = Buffer.concat([Buffer.from([0]), Buffer.alloc(999, 7)])
  await using server = await fake((client) => {
    const w = new Writer(1 << 20)
    let sequence = 1
    for (let i = 0; i < 10_000; i++) {
      w.beginFrame().bytes(event)
      sequence = w.endFrame(sequence)
    }
    writeEof(w.beginFrame(), { warnings: 0, status: 2 })
    w.endFrame(sequence)
    client.write(w.take())
    client.ready()
  })
  await using connection = await open(server)
  const stream = connection.command(Buffer.from([com.binlogDump]), { bufferBytesMax: 50_000 })
  let packets = (await stream.next()) === null ? 0 : 1
  const client = server.clients[0] as ServerConnection
  for (let last = -1, same = 0; same < 20;) {
    await new Promise((resolve) => setImmediate(resolve))
    same = client.bufferedBytes === last ? same + 1 : 0
    last = client.bufferedBytes
  }
  assert.ok(stream.bufferedBytes < 50_000 + 2 * 65_536, `${stream.bufferedBytes} bytes held`)
  for (let packet = await stream.next(); packet !== null; packet = stream.tryNext() ?? (await stream.next())) {
    assert.equal(packet.length, 1000)
    packets++
  }
  assert.equal(packets, 10_000)
})

test('whatever the cuts in what a client sends, handshake and commands arrive the same', async () => {
  const seen: string[] = []
  await using server = await fake((client, command) => {
    seen.push(textOf(command).slice(0, 20))
    client.sendOk()
    client.ready()
  })
  // A proxy that cuts every chunk into pieces of 1, 2, 3, 5, 8 … bytes.
  const proxy = net.createServer((inward) => {
    const outward = net.connect({ port: server.port, noDelay: true })
    inward.setNoDelay(true)
    const cut = (from: net.Socket, to: net.Socket): void => {
      let queue = Promise.resolve()
      from.on('data', (chunk: Buffer) => {
        queue = queue.then(async () => {
          for (let at = 0, size = 1; at < chunk.length; at += size, size = Math.min(size * 2, 20_000)) {
            to.write(chunk.subarray(at, at + size))
            await new Promise((resolve) => setImmediate(resolve))
          }
        })
      })
      from.on('error', () => to.destroy())
      from.on('close', () => void queue.then(() => to.end()))
    }
    cut(inward, outward)
    cut(outward, inward)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  {
    await using connection = await connect({ port: (proxy.address() as net.AddressInfo).port, user: 'u', deprecateEof: false })
    const sqls = ['a', 'b'.repeat(70_000), '', 'c'.repeat(3000)]
    await connection.pipeline(sqls)
    assert.deepEqual(
      seen,
      sqls.map((sql) => sql.slice(0, 20)),
    )
  }
  proxy.close()
})

test('a server that accepts and says nothing: the connect times out; an abort ends it at once', async () => {
  const server = net.createServer(() => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  assert.equal(((await rejection(connect({ port, user: 'u', connectTimeoutMs: 50 }))) as { code: string }).code, 'SW-MYSQL-005')
  const abort = new AbortController()
  const connecting = rejection(connect({ port, user: 'u' }, abort.signal))
  abort.abort()
  assert.equal(((await connecting) as { code: string }).code, 'SW-MYSQL-016')
  server.close()
})

test('promise 10: what a server sends without having been asked becomes part of no answer: the connection is over', async () => {
  const asked: string[] = []
  const stray: Record<string, Buffer> = {
    whole: Buffer.concat([resultSet(['1']), Buffer.from([3, 0, 0, 1, 1, 2, 3])]),
    begun: Buffer.concat([resultSet(['1']), Buffer.from([200, 0])]),
    late: resultSet(['1']),
  }
  await using server = await fake((client, command) => {
    if (command.com === com.quit) return
    asked.push(textOf(command))
    client.write(stray[textOf(command)] ?? resultSet(['5']))
    client.ready()
  })
  for (const sql of Object.keys(stray)) {
    const c = await connect({ host: '127.0.0.1', port: server.port, user: 'x', password: '', database: '' })
    assert.equal(await c.value(sql), '1')
    if (sql === 'late') {
      server.clients.at(-1)?.write(Buffer.from([200, 0, 0]))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.equal(c.open, false, sql)
    await assert.rejects(c.value('SELECT 5'), (error) => error instanceof ConnectionLost && error.outcome === 'nothingSent')
  }
  assert.deepEqual(asked, Object.keys(stray))
})

test('a stranger gets no memory: a large packet before authentication ends the connection', async () => {
  await using server = await fake(() => {})
  const socket = net.connect({ port: server.port })
  await once(socket, 'data')
  socket.write(Buffer.concat([Buffer.from([0, 0, 0x20, 1]), Buffer.alloc(1000)]))
  socket.on('error', () => {})
  // Well before the handshake's own time limit.
  await once(socket, 'close', { signal: AbortSignal.timeout(5_000) })
})

test('nobody listens: connect fails saying so', async () => {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  const error = (await rejection(connect({ port, user: 'u' }))) as ServerError
  assert.equal(error.code, 'SW-MYSQL-004')
  assert.match(error.message, /ECONNREFUSED/)
})

test('something that is no MySQL server is named as such', async () => {
  const server = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const error = (await rejection(connect({ port: (server.address() as net.AddressInfo).port, user: 'u', connectTimeoutMs: 2000 }))) as {
    code: string
  }
  assert.match(error.code, /^SW-(MYSQL-004|WIRE-001)$/)
  server.close()
})

test('a client that sends ahead is answered one command at a time, in order, whatever the handler takes', async () => {
  let inHand = 0
  const seen: string[] = []
  await using server = await fake((client, command) => {
    assert.equal(++inHand, 1)
    const text = textOf(command)
    seen.push(text)
    const answer = (): void => {
      client.write(resultSet([text]))
      inHand--
      client.ready()
    }
    if (seen.length % 2 === 0) setImmediate(answer)
    else answer()
  })
  await using connection = await open(server)
  const sqls = Array.from({ length: 300 }, (_, i) => `${i} ${'z'.repeat(i * 20)}`)
  const results = await connection.pipeline(sqls)
  assert.deepEqual(seen, sqls)
  assert.equal(results.length, 300)
})

test('promise 8: of an answer that waits for its client, a small piece does not keep the buffer that it is a piece of', async () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => `${i} `.padEnd(1_000, 'x'))
  const written = Promise.withResolvers<void>()
  await using server = await fake((client) => {
    const answer = resultSet(rows)
    client.write(answer.subarray(0, -2_000))
    const piece = Buffer.from(answer.subarray(-2_000))
    client.write(piece)
    piece.fill(0)
    client.ready()
    written.resolve()
  })
  await using c = await connect({ host: '127.0.0.1', port: server.port, user: 'u', password: '' })
  c.pause()
  const answered = c.query('x')
  void written.promise.then(() => c.resume())
  const result = await answered
  assert.equal(result.kind === 'rows' && result.rows.at(-1)?.[0]?.toString(), rows.at(-1))
})
