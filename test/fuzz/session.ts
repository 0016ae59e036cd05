/**
 * A whole gate between hostile clients and a server of ours that answers what the clients' gate asks, truly or not. After every attack another client
 * must be answered as if nothing had been: what is malformed ends the connection it came by, never another and never the process.
 */
import net from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog, type Log } from '../../src/base/log.ts'
import { Gate } from '../../src/gate/gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore } from '../../src/gate/testkit/world.ts'
import { integerColumn, okFrame, rowsFrames } from '../../src/gate/replies.ts'
import { storedPassword } from '../../src/mysql/auth-server.ts'
import { connect } from '../../src/mysql/connect.ts'
import type { Connection } from '../../src/mysql/connection.ts'
import { acceptClient } from '../../src/mysql/server-connection.ts'
import { com } from '../../src/wire/commands.ts'
import { frame } from '../../src/wire/frames.ts'
import type { Random } from '../models/random.ts'
import type { Finding } from './fuzz.ts'

const attacksARound = 12
const answerWithinMs = 10_000
const commands = [...Object.values(com), 0x00, 0x1d, 0x20, 0x7f, 0xff]
const queries = [
  'SELECT 1',
  'BEGIN',
  'COMMIT',
  'SET @a = 1',
  'USE app',
  'SHOW DATABASES',
  'SELECT * FROM t WHERE id = 1',
  "INSERT INTO t VALUES (1, 'x')",
  'KILL 1',
  '',
  ';',
  '\0',
  '/*',
  "'",
  'SELECT ?',
  'XA START 1',
  'USE app@',
  'SET NAMES utf8mb4',
]

export class SessionFuzz implements AsyncDisposable {
  readonly #found: (finding: Finding) => void
  #server!: net.Server
  #gate!: Gate
  #port = 0
  /** Null: the server answers truly. */
  #lies: Random | null = null
  readonly #onCrash = (error: unknown): void => {
    this.#found({ target: 'process', what: error instanceof Error ? (error.stack ?? error.message) : String(error), input: this.#doing })
  }
  #doing = ''

  private constructor(found: (finding: Finding) => void) {
    this.#found = found
  }

  static async start(found: (finding: Finding) => void): Promise<SessionFuzz> {
    const it = new SessionFuzz(found)
    process.on('uncaughtException', it.#onCrash).on('unhandledRejection', it.#onCrash)
    it.#server = net.createServer((socket) => void it.#serve(socket))
    await new Promise<void>((done) => it.#server.listen(0, '127.0.0.1', done))
    const store = new MemoryStore()
    await addServer(store, 's1', (it.#server.address() as net.AddressInfo).port)
    await addUser(store, 'app', 'secret')
    await addKeyspace(store, 'app', [{ name: '-', serverId: 's1', schema: 'app' }])
    const log: Log = {
      ...silentLog,
      error(fields, message) {
        // What a lying server says may make no sense to us; a client's bytes must.
        if (it.#lies === null)
          found({ target: 'log', what: `${message}: ${String((fields as { error?: unknown }).error)}`, input: it.#doing })
      },
      child: () => log,
    }
    it.#gate = new Gate({ store, listen: { host: '127.0.0.1', port: 0 }, log, clock: systemClock, id: 'fuzz', pid: process.pid })
    it.#port = (await it.#gate.start()).port
    return it
  }

  async round(random: Random): Promise<number> {
    for (let i = 0; i < attacksARound; i++) {
      this.#lies = random.chance(0.3) ? random : null
      await (random.chance(0.3) ? this.#stranger(random) : this.#client(random))
      this.#lies = null
      await this.#witness()
    }
    return attacksARound
  }

  /** Somebody who does not even greet. */
  async #stranger(random: Random): Promise<void> {
    const socket = net.connect(this.#port, '127.0.0.1')
    socket.on('error', () => {})
    const bytes = random.chance(0.5) ? noise(random, 200) : frame(noise(random, 120), random.below(3))
    this.#doing = `a stranger: ${bytes.toString('hex')}`
    await within(new Promise((done) => socket.once('data', done).once('close', done)))
    socket.write(bytes)
    await pause(random.below(4))
    socket.destroy()
  }

  async #client(random: Random): Promise<void> {
    const connection = await this.#connect()
    if (connection === null) return
    this.#doing = 'a client:'
    for (let i = random.between(1, 12); i > 0 && connection.open; i--) {
      const bytes = packet(random)
      this.#doing += ` ${bytes.toString('hex').slice(0, 400)}`
      for (let at = 0; at < bytes.length;) {
        const to = random.chance(0.7) ? bytes.length : Math.min(bytes.length, at + 1 + random.below(9))
        connection.relayData(bytes.subarray(at, to))
        at = to
        if (random.chance(0.2)) await pause(0)
      }
    }
    await pause(random.below(6))
    connection.destroy()
  }

  /** An honest client next to it. */
  async #witness(): Promise<void> {
    const connection = await this.#connect()
    if (connection === null) return this.#found({ target: 'another client', what: 'is not let in', input: this.#doing })
    try {
      const value = await within(connection.value('SELECT 1'))
      if (value !== '1') this.#found({ target: 'another client', what: `was answered ${String(value)}`, input: this.#doing })
    } catch (error) {
      this.#found({ target: 'another client', what: String(error), input: this.#doing })
    }
    connection.destroy()
  }

  async #connect(): Promise<Connection | null> {
    return await connect({
      port: this.#port,
      user: 'app',
      password: 'secret',
      database: 'app',
      connectTimeoutMs: answerWithinMs,
      deprecateEof: false,
    }).catch(() => null)
  }

  async #serve(socket: net.Socket): Promise<void> {
    socket.on('error', () => {})
    const client = await acceptClient(socket, {
      serverVersion: '10.11.19-MariaDB',
      threadId: 1,
      plugin: 'mysql_native_password',
      authenticate: () => storedPassword('gate-secret'),
    })
    if (client === null) return
    client.sendOk()
    client.onCommand((command) => {
      const lies = this.#lies
      const { com: kind } = command
      if (kind === com.quit) return client.close()
      if (kind !== com.stmtClose && kind !== com.stmtSendLongData) {
        if (lies !== null && lies.chance(0.4)) {
          if (lies.chance(0.2)) return client.destroy()
          client.write(lies.chance(0.5) ? noise(lies, 60) : frame(noise(lies, 40), 1))
        } else
          client.write(
            kind === com.query && /^\s*select/i.test(command.data.toString('latin1', command.start + 1, command.end))
              ? rowsFrames([integerColumn('1')], [['1']], { status: 2, form: 'text', extendedMetadata: false })
              : kind === com.stmtPrepare
                ? frame(Buffer.from([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1)
                : okFrame(2),
          )
      }
      client.ready()
    })
    client.ready()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gate.stop()
    this.#server.close()
    process.off('uncaughtException', this.#onCrash).off('unhandledRejection', this.#onCrash)
  }
}

function packet(random: Random): Buffer {
  switch (random.below(6)) {
    case 0:
      return noise(random, 80)
    case 1:
      return frame(noise(random, 60), random.below(4))
    case 2: {
      const query = Buffer.concat([Buffer.from([com.query]), Buffer.from(random.pick(queries))])
      return frame(query, random.chance(0.1) ? 9 : 0)
    }
    case 3: {
      const prepare = frame(Buffer.concat([Buffer.from([com.stmtPrepare]), Buffer.from(random.pick(queries))]))
      const execute = frame(Buffer.concat([Buffer.from([com.stmtExecute, random.below(3), 0, 0, 0]), noise(random, 30)]))
      return Buffer.concat([prepare, execute])
    }
    case 4: {
      // A length that is never kept, or more than anything may have.
      const head = Buffer.from([random.below(256), random.below(256), random.below(256), 0, random.pick(commands)])
      return Buffer.concat([head, noise(random, 20)])
    }
    default:
      return frame(Buffer.concat([Buffer.from([random.pick(commands)]), noise(random, random.below(12))]))
  }
}

function noise(random: Random, lengthMax: number): Buffer {
  return Buffer.from(Array.from({ length: random.below(lengthMax + 1) }, () => random.below(256)))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function within<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${answerWithinMs} ms`)), answerWithinMs)
  })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
