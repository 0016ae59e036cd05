/** What tests of movers give them: servers and streams as records of a topology, and reports to wait for. */
import assert from 'node:assert/strict'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { keys } from '../../topology/keys.ts'
import type { ServerRecord, ServerSecret, StreamRecord, StreamReport } from '../../topology/records.ts'
import type { Store } from '../../topology/store.ts'
import { put } from '../../topology/typed.ts'
import type { TestServer } from '../../../test/kit/servers.ts'
import { Mover, type MoverOptions } from '../mover.ts'
import { smallConfig } from './small-config.ts'

export async function putServers(store: Store, { source, target }: { source: TestServer; target: TestServer }): Promise<void> {
  await putServer(store, 'source', source)
  await putServer(store, 'target', target)
}

export async function putServer(store: Store, id: string, server: TestServer): Promise<void> {
  const record: ServerRecord = {
    v: 1,
    id,
    flavour: server.flavour,
    version: server.version,
    host: server.host,
    port: server.port,
    socketPath: null,
    provisioned: true,
    dataDir: null,
  }
  const account = { user: server.config.user, password: server.config.password }
  const secret: ServerSecret = { v: 1, admin: account, mover: account, gate: account }
  await store.commit([], [put(keys.server(id), record), put(keys.secret(id), secret)])
}

export async function want(store: Store, record: StreamRecord): Promise<void> {
  await store.commit([], [put(keys.stream(record.workflowUid, record.uid), record)])
}

/** Waits until the report satisfies. */
export async function reported(
  store: Store,
  record: StreamRecord,
  what: string,
  satisfies: (report: StreamReport) => boolean,
  limitMs = 30_000,
): Promise<StreamReport> {
  const stop = AbortSignal.timeout(limitMs)
  let last: StreamReport | null = null
  for await (const snapshot of store.watch(keys.report(record.workflowUid, record.uid), stop)) {
    const entry = [...snapshot.entries.values()][0]
    if (entry === undefined) continue
    last = entry.value as unknown as StreamReport
    if (satisfies(last)) return last
    if (last.state === 'failed' && record.wanted === 'running') break
  }
  return assert.fail(`not reported: ${what}; last: ${JSON.stringify(last)}`)
}

/** In this process, until it is disposed of. */
export function startMover(store: Store, id: string, options: Partial<MoverOptions> = {}): AsyncDisposable {
  const stop = new AbortController()
  const mover = new Mover({
    store,
    id,
    pid: process.pid,
    clock: systemClock,
    log: silentLog,
    rssBytes: () => 1,
    kill: () => assert.fail('no failpoint is armed'),
    ...options,
    config: { ...smallConfig, markerMs: 300, reportMs: 250, ...options.config },
  })
  const running = mover.run(stop.signal)
  return { [Symbol.asyncDispose]: async () => (stop.abort(), await running) }
}
