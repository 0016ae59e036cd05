/**
 * The control process: answers the API from the topology at any time, and, while it leads, runs the workflows. One leader
 * by lease, others stand by; a request may be sent to any of them, since requests are records and the leader reads them.
 */
import type { FastifyInstance } from 'fastify'
import { existsSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import fastifyStatic from '@fastify/static'
import { decisionLog } from '../change/decision-log.ts'
import { fleetCarrier } from '../change/fleet-carry.ts'
import { dualwriteDefinition } from '../change/dualwrite.ts'
import { watchDualWrites } from '../change/dualwrite-watch.ts'
import { watchRemovals } from '../change/removals.ts'
import { watchGivenUp } from '../change/given-up.ts'
import { watchPrimaryChanges } from '../change/primary-change.ts'
import { reshardDefinition } from '../change/reshard.ts'
import type { World } from '../change/servers.ts'
import { keys } from '../topology/keys.ts'
import { currentPosition } from '../binlog/position.ts'
import { ClaimPool } from '../switch/claim.ts'
import { noSwitchFailpoint } from '../switch/crash-points.ts'
import { recoverAtLead } from '../switch/recover.ts'
import { watchClosed } from '../switch/strays.ts'
import { KeyspaceTurns } from '../switch/turns.ts'
import type { SwitchFailpoint } from '../switch/crash-points.ts'
import { acquireLeadership } from '../topology/leadership.ts'
import type { Installation } from '../topology/records.ts'
import { absent, put, readRecord } from '../topology/typed.ts'
import { controllerName } from '../workflow/context.ts'
import { runEngine } from '../workflow/engine.ts'
import { dualWriteWorld } from './dualwrite.ts'
import { buildHandlers } from './handlers.ts'
import type { Office } from './handlers.ts'
import { buildHttp } from './http.ts'
import { serveEvents } from './events.ts'
import { serveMetrics } from './metrics.ts'

export type ControlOptions = World & {
  readonly holder: string
  readonly host: string
  readonly port: number
  readonly version: string
  readonly consoleDir: string
  readonly token?: string
  readonly leaseMs?: number
  /** For tests: where a controller dies on purpose. */
  readonly switchFailpoint?: SwitchFailpoint
}

export type Control = { stop(): Promise<void> }

const defaultLeaseMs = 5000
/** How often servers that must be closed are looked at. */
const closedLookMs = 5000
/** One that comes back takes clients from its first moment on. */
const givenUpLookMs = 500

export async function startControl(options: ControlOptions): Promise<Control> {
  const { store, log, clock } = options
  await store.commit(
    [absent(keys.installation)],
    [put<Installation>(keys.installation, { v: 1, id: randomUUID(), createdAtMs: clock.nowMs() })],
  )
  const stop = new AbortController()
  const office: Office = { pool: null, turns: new KeyspaceTurns(), leadership: null }
  const http = buildHttp({ handlers: buildHandlers({ ...options, leading: office }), log, token: options.token, version: options.version })
  serveEvents(http, options)
  serveMetrics(http, options)
  await serveConsole(http, options.consoleDir)
  await http.listen({ host: options.host, port: options.port })
  const leading = lead(options, office, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) log.error({ error }, 'leading ended with an error')
  })
  return {
    async stop() {
      stop.abort(new Error('stopping'))
      await http.close()
      await leading
    },
  }
}

/** Leads whenever it can, until stopped. */
async function lead(options: ControlOptions, office: Office, stop: AbortSignal): Promise<void> {
  const { store, clock, log } = options
  while (!stop.aborted) {
    try {
      const leadership = await acquireLeadership(store, {
        holder: options.holder,
        address: `${options.host}:${options.port}`,
        ttlMs: options.leaseMs ?? defaultLeaseMs,
        clock,
        signal: stop,
      })
      log.info({ token: leadership.token }, 'leading')
      const signal = AbortSignal.any([leadership.lost, stop])
      const mine = { token: leadership.token, fence: leadership.condition(), signal }
      try {
        const installation = await readRecord<Installation>(store, keys.installation)
        await using pool = new ClaimPool({ store, installationId: installation?.value.id ?? '', leadership: mine, clock, log })
        // A server that does not answer must not keep a controller that no longer leads from leading again.
        signal.addEventListener('abort', () => void pool[Symbol.asyncDispose](), { once: true })
        const failpoint = options.switchFailpoint ?? noSwitchFailpoint
        const decided = decisionLog({ clock, actor: `${controllerName(mine)}, which took the lead`, verb: null, action: null })
        const carrier = fleetCarrier({ store, clock, log, leadership: mine })
        const context = { store, leadership: mine, pool, clock, log, readPosition: currentPosition, failpoint, decided, carrier }
        await recoverAtLead(context)
        const { turns } = office
        office.pool = pool
        office.leadership = mine
        void watchClosed(context, turns, closedLookMs)
        void watchGivenUp(options, pool, turns, mine, givenUpLookMs)
        void watchPrimaryChanges(options, pool, turns, mine, closedLookMs)
        void watchRemovals(options, mine)
        const dualWrite = dualWriteWorld(options)
        void watchDualWrites(dualWrite, pool, mine)
        await runEngine({
          store,
          clock,
          log,
          definitions: [reshardDefinition({ ...options, pool, turns }), dualwriteDefinition(dualWrite)],
          leadership: mine,
        })
      } finally {
        office.pool = null
        office.leadership = null
        await leadership.release()
      }
    } catch (error) {
      if (stop.aborted) return
      log.error({ error }, 'leading failed; trying again')
      await clock.sleep(500, stop).catch(() => undefined)
    }
  }
}

async function serveConsole(http: FastifyInstance, dir: string): Promise<void> {
  if (existsSync(dir)) await http.register(fastifyStatic, { root: dir })
}
