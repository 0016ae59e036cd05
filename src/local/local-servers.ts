import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, type Clock } from '../base/clock.ts'
import { silentLog, type Log } from '../base/log.ts'
import { removeLocked, withDirectoryLock, withExistingDirectory } from './directory-lock.ts'
import { localErrors } from './errors.ts'
import { findPort } from './find-port.ts'
import { installOf, type LocalFlavour, type ServerInstall, type ServerInstalls } from './installs.ts'
import { describe, type LocalServer } from './local-server.ts'
import { identify, isAlive, signalIfAlive, type ProcessIdentity } from './process-identity.ts'
import { defaultSettings, serverConfig, userArguments, type ServerSettings } from './server-config.ts'
import { absolute, pidFromFile, socketPathFor } from './server-directory.ts'
import { greets } from './server-ready.ts'
import { readServerRecord, recordName, writeServerRecord, type ServerRecord } from './server-record.ts'
import { copyTemplate, dataDirTemplate, logTail } from './template.ts'

/**
 * Starts, adopts and stops database servers on this machine. They are processes of their own session: they outlive the
 * process that started them, and the next one finds them by `<dir>/local.json`.
 *
 * One directory a server: `local.json` (who serves it), `my.cnf`, `server.log`, `data/`. Work on a directory is done under
 * its lock, so two of our processes never start two servers on it. Nothing is signalled but a process whose number, start
 * time and boot are the recorded ones: a pid that was used again is never hit.
 *
 * A crash between spawning the server and recording it leaves a server that nobody knows: the next start meets it by
 * its greeting on the socket and adopts it by its pid file.
 */
export type LocalServersOptions = {
  readonly installs: ServerInstalls
  /** Where `installs` were read from, for messages. */
  readonly installsFile: string
  /** Data directories made once per server version, to copy. */
  readonly templatesDir: string
  readonly clock?: Clock
  readonly log?: Log
}

export type StartRequest = {
  readonly id: string
  readonly flavour: LocalFlavour
  readonly dir: string
  /** Wanted port; one that is taken moves on. Left out: the recorded port, else any free one. */
  readonly port?: number
  /** Set for root@localhost and root@127.0.0.1 when the server first runs; later starts ignore it. */
  readonly rootPassword?: string
  /** What differs from `defaultSettings`, or from the recorded settings when the server exists. */
  readonly settings?: Partial<ServerSettings>
  readonly timeoutMs?: number
}

export class LocalServers {
  readonly #options: LocalServersOptions
  readonly #clock: Clock
  readonly #log: Log

  constructor(options: LocalServersOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
  }

  /** Adopts the server of `request.dir` when it runs, else starts it, making its data directory when there is none. */
  async start(request: StartRequest): Promise<LocalServer> {
    const dir = absolute(request.dir)
    const timeoutMs = request.timeoutMs ?? 60_000
    return withDirectoryLock(dir, this.#clock, timeoutMs, async () => {
      const record = await this.#recordFor(dir, request)
      const running = await this.#running(dir, record)
      if (running !== null) return this.#adopt(dir, record, running, timeoutMs)
      return this.#launch(dir, record, request, timeoutMs)
    })
  }

  /** What serves `dir` now, or null. Never starts anything. */
  async find(dir: string): Promise<LocalServer | null> {
    const record = readServerRecord(absolute(dir))
    if (record === null) return null
    const running = await this.#running(absolute(dir), record)
    return running === null ? null : describe(absolute(dir), record, running, true, null)
  }

  /** Ends the server cleanly. Nothing to do when it does not run. */
  async stop(dir: string, timeoutMs = 60_000): Promise<void> {
    await this.#end(absolute(dir), 'SIGTERM', timeoutMs)
  }

  /** Ends it as a crash would, for tests: the record still says that it should run. */
  async kill9(dir: string): Promise<void> {
    await this.#end(absolute(dir), 'SIGKILL', 10_000)
  }

  /** Stops the process in its tracks (`SIGSTOP`), or lets it go on (`SIGCONT`): for tests. */
  async pause(dir: string, signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const record = readServerRecord(absolute(dir))
    if (record?.process == null || !signalIfAlive(record.process, signal))
      throw localErrors.notOurs({ dir, pid: record?.process?.pid ?? 'none' })
  }

  /** More `my.cnf` settings, from its next start on. Nothing to do when there is no server. */
  async keepSettings(dir: string, extra: ServerSettings['extra']): Promise<void> {
    const at = absolute(dir)
    await withExistingDirectory(at, this.#clock, 60_000, async () => {
      const record = readServerRecord(at)
      if (record === null) return
      await writeServerRecord(at, { ...record, settings: { ...record.settings, extra: { ...record.settings.extra, ...extra } } })
    })
  }

  /**
   * Stops the server at once and removes its directory with all data, under the directory's lock: nobody makes one there meanwhile. With `which` only the one whose record
   * has that id of a server (null: none has been recorded). The record goes last, for whoever goes on with a removal that was broken off.
   */
  async destroy(dir: string, only?: { readonly which: string | null }): Promise<'removed' | 'another'> {
    const at = absolute(dir)
    const done = await withExistingDirectory(at, this.#clock, 30_000, async () => {
      const record = readServerRecord(at)
      const stands = record === null ? null : String(record.serverId)
      if (only !== undefined && stands !== only.which) return 'another'
      if (record !== null) await this.#endLocked(at, record, 'SIGKILL', 10_000, 'on purpose')
      await removeLocked(at, recordName)
      return 'removed'
    })
    return done ?? 'removed'
  }

  /**
   * Starts a server again that has ended without being told to. Null when it runs, was stopped on purpose or is being removed:
   * all of that is judged under the directory's lock, so a server that goes never comes back.
   */
  async revive(dir: string): Promise<LocalServer | null> {
    const at = absolute(dir)
    if (!endedByItself(readServerRecord(at))) return null
    return withExistingDirectory(at, this.#clock, 60_000, async () => {
      const record = readServerRecord(at)
      if (record === null || !endedByItself(record)) return null
      const request = { id: record.id, flavour: record.flavour, dir: at }
      const running = await this.#running(at, record)
      if (running !== null) return this.#adopt(at, await this.#recordFor(at, request), running, 60_000)
      return this.#launch(at, await this.#recordFor(at, request), request, 60_000)
    })
  }

  /**
   * Keeps the servers of `requests` running until aborted: one that has ended is started again on its directory, with a
   * pause that grows while it keeps ending. `onRestart` hears of each.
   */
  async supervise(
    requests: readonly StartRequest[],
    signal: AbortSignal,
    onRestart: (server: LocalServer) => void = () => {},
  ): Promise<void> {
    await Promise.all(requests.map((request) => this.#superviseOne(request, signal, onRestart)))
  }

  async #superviseOne(request: StartRequest, signal: AbortSignal, onRestart: (server: LocalServer) => void): Promise<void> {
    const dir = absolute(request.dir)
    let pauseMs = 250
    let endedAt = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      const record = readServerRecord(dir)
      if (record?.process != null && endedByItself(record)) {
        const now = this.#clock.monotonicMs()
        pauseMs = now - endedAt < 60_000 ? Math.min(pauseMs * 2, 10_000) : 250
        endedAt = now
        this.#log.warn({ server: record.id, pid: record.process.pid }, 'database server ended; starting it again')
        try {
          const again = await this.revive(dir)
          if (again !== null) onRestart(again)
        } catch (error) {
          this.#log.error({ server: record.id, err: error }, 'database server could not be started again')
        }
      }
      await this.#clock.sleep(pauseMs, signal).catch(() => {})
    }
  }

  async #recordFor(dir: string, request: StartRequest): Promise<ServerRecord> {
    const install = this.#install(request.flavour)
    const had = readServerRecord(dir)
    if (had !== null && had.flavour !== request.flavour)
      throw localErrors.flavourChanged({ dir, had: had.flavour, wanted: request.flavour })
    return {
      v: 1,
      id: request.id,
      flavour: request.flavour,
      version: install.version,
      serverId: had?.serverId ?? randomInt(1, 2 ** 31),
      port: request.port ?? had?.port ?? 0,
      socketPath: had?.socketPath ?? socketPathFor(dir),
      settings: { ...(had?.settings ?? defaultSettings), ...request.settings },
      initialised: had?.initialised ?? false,
      process: had?.process ?? null,
    }
  }

  async #running(dir: string, record: ServerRecord): Promise<ProcessIdentity | null> {
    if (record.process !== null && isAlive(record.process)) return record.process
    if (!(await greets(record.socketPath, 500))) return null
    const pid = await pidFromFile(join(dir, 'mysqld.pid'))
    return pid === null ? null : identify(pid)
  }

  async #adopt(dir: string, record: ServerRecord, running: ProcessIdentity, timeoutMs: number): Promise<LocalServer> {
    const had = readServerRecord(dir)
    await this.#untilReady(dir, record, running, timeoutMs, null)
    // What runs keeps its port and version; wanted changes wait for the next start.
    const kept: ServerRecord = {
      ...record,
      port: had?.port ?? record.port,
      version: had?.version ?? record.version,
      initialised: true,
      process: running,
    }
    await writeServerRecord(dir, kept)
    this.#log.info({ server: record.id, pid: running.pid, port: kept.port }, 'database server adopted')
    return describe(dir, kept, running, true, null)
  }

  async #launch(dir: string, record: ServerRecord, request: StartRequest, timeoutMs: number): Promise<LocalServer> {
    const install = this.#install(record.flavour)
    const dataDir = join(dir, 'data')
    await this.#makeDataDir(install, dataDir, record.settings.durability === 'full')
    const wanted = record.port
    const tried = new Set<number>()
    for (let attempt = 1; ; attempt++) {
      // Not one that the system gives to passing connections (32768 and up on Linux): those are soon taken while a server is down.
      const port = await findPort(wanted === 0 ? randomInt(20_000, 32_000) : wanted, 200, tried)
      const starting: ServerRecord = { ...record, port, process: null }
      const identity = await this.#spawn(dir, install, starting, record.initialised ? undefined : request.rootPassword)
      await writeServerRecord(dir, { ...starting, process: identity })
      try {
        await this.#untilReady(dir, starting, identity, timeoutMs, attempt)
      } catch (error) {
        if (!isAlive(identity)) await writeServerRecord(dir, { ...starting, port: wanted })
        // Somebody took the port between our look and the server's bind.
        const lostPort = attempt < 20 && /bind on TCP\/IP port|Address already in use/i.test((error as Error).message)
        if (!lostPort) throw error
        tried.add(port)
        continue
      }
      await rm(join(dir, 'first-start.sql'), { force: true })
      const done: ServerRecord = { ...starting, initialised: true, process: identity }
      await writeServerRecord(dir, done)
      const movedFrom = wanted !== 0 && port !== wanted ? wanted : null
      if (movedFrom !== null) this.#log.warn({ server: record.id, wanted, port }, `port ${wanted} is taken; the server listens on ${port}`)
      this.#log.info({ server: record.id, pid: identity.pid, port, version: record.version }, 'database server started')
      return describe(dir, done, identity, false, movedFrom)
    }
  }

  async #makeDataDir(install: ServerInstall, dataDir: string, durable: boolean): Promise<void> {
    if (existsSync(dataDir)) return
    const template = await dataDirTemplate(install, this.#options.templatesDir, this.#clock)
    try {
      await copyTemplate(template, dataDir, durable)
    } catch (error) {
      throw localErrors.initFailed(
        { flavour: install.flavour, version: install.version, dir: dataDir, tail: (error as Error).message },
        error,
      )
    }
  }

  async #spawn(dir: string, install: ServerInstall, record: ServerRecord, rootPassword: string | undefined): Promise<ProcessIdentity> {
    const config = join(dir, 'my.cnf')
    const place = {
      dataDir: join(dir, 'data'),
      socketPath: record.socketPath,
      port: record.port,
      pidFile: join(dir, 'mysqld.pid'),
      tmpDir: join(dir, 'tmp'),
      serverId: record.serverId,
    }
    await mkdir(place.tmpDir, { recursive: true })
    let text = serverConfig(install, place, record.settings)
    if (rootPassword !== undefined) {
      const sql = join(dir, 'first-start.sql')
      const literal = rootPassword.replace(/[\\']/g, '\\$&')
      // Not into the binlog: an account of this server is no part of its data's history.
      await writeFile(
        sql,
        ['localhost', '127.0.0.1']
          .map((host) => `SET SESSION sql_log_bin=0;\nALTER USER 'root'@'${host}' IDENTIFIED BY '${literal}';\n`)
          .join(''),
        { mode: 0o600 },
      )
      text += `init-file = "${sql}"\n`
    }
    await writeFile(config, text, { mode: 0o600 })
    const log = openSync(join(dir, 'server.log'), 'w', 0o600)
    try {
      const child = spawn(install.mysqld, [`--defaults-file=${config}`, ...userArguments()], {
        cwd: dir,
        detached: true,
        stdio: ['ignore', log, log],
      })
      await new Promise<void>((done, fail) => {
        child.once('spawn', done)
        child.once('error', (error) =>
          fail(
            localErrors.startFailed(
              { flavour: record.flavour, id: record.id, how: 'not run', tail: error.message, log: install.mysqld },
              error,
            ),
          ),
        )
      })
      child.unref()
      const pid = child.pid ?? 0
      return identify(pid) ?? { pid, startTime: 'ended' }
    } finally {
      closeSync(log)
    }
  }

  async #untilReady(
    dir: string,
    record: ServerRecord,
    identity: ProcessIdentity,
    timeoutMs: number,
    launched: number | null,
  ): Promise<void> {
    const deadline = this.#clock.monotonicMs() + timeoutMs
    const log = join(dir, 'server.log')
    for (let waitMs = 10; ; waitMs = Math.min(waitMs * 1.3, 100)) {
      if (await greets(record.socketPath, 1_000)) return
      if (!isAlive(identity))
        throw localErrors.startFailed({
          flavour: record.flavour,
          id: record.id,
          how: launched === null ? 'while being adopted' : 'by itself',
          tail: await logTail(log),
          log,
        })
      if (this.#clock.monotonicMs() > deadline) throw localErrors.startTimeout({ flavour: record.flavour, id: record.id, timeoutMs, log })
      await this.#clock.sleep(waitMs)
    }
  }

  async #end(
    dir: string,
    signal: 'SIGTERM' | 'SIGKILL',
    timeoutMs: number,
    why: 'on purpose' | 'as a crash' = signal === 'SIGTERM' ? 'on purpose' : 'as a crash',
  ): Promise<void> {
    if (readServerRecord(dir) === null) return
    await withExistingDirectory(dir, this.#clock, timeoutMs, async () => {
      const record = readServerRecord(dir)
      if (record !== null) await this.#endLocked(dir, record, signal, timeoutMs, why)
    })
  }

  async #endLocked(
    dir: string,
    record: ServerRecord,
    signal: 'SIGTERM' | 'SIGKILL',
    timeoutMs: number,
    why: 'on purpose' | 'as a crash',
  ): Promise<void> {
    const running = await this.#running(dir, record)
    if (running !== null) {
      signalIfAlive(running, signal)
      // A stopped process (SIGSTOP) would never come to handle SIGTERM.
      if (signal === 'SIGTERM') signalIfAlive(running, 'SIGCONT')
      await this.#untilGone(dir, running, timeoutMs)
    }
    if (why === 'on purpose') await writeServerRecord(dir, { ...record, process: null })
  }

  async #untilGone(dir: string, identity: ProcessIdentity, timeoutMs: number): Promise<void> {
    const deadline = this.#clock.monotonicMs() + timeoutMs
    while (isAlive(identity)) {
      if (this.#clock.monotonicMs() > deadline)
        throw localErrors.stopTimeout({ dir, pid: identity.pid, timeoutMs, log: join(dir, 'server.log') })
      await this.#clock.sleep(10)
    }
  }

  #install(flavour: LocalFlavour): ServerInstall {
    return installOf(this.#options.installs, flavour, this.#options.installsFile)
  }
}

/** `process: null` is a stop on purpose: whoever stopped it starts it again. */
function endedByItself(record: ServerRecord | null): boolean {
  return record !== null && record.process !== null && !isAlive(record.process)
}
