/**
 * What a new leader does with every keyspace, by the phase that the record says (PROTOCOLS 3, Recovery). Its first effect is its token: from
 * then on no commit that an older leader prepared succeeds. The record is all it goes by; no journal lets it skip a step.
 */
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, RoutingComponent } from '../topology/records.ts'
import { toOpening } from '../topology/routing.ts'
import { readRecord } from '../topology/typed.ts'
import type { SwitchContext, SwitchLimits } from './context.ts'
import { defaultSwitchLimits } from './context.ts'
import { decide, takeRouting } from './decide.ts'
import { readSide } from './plan.ts'
import { stepTen } from './step-ten.ts'
import { closeStrays } from './strays.ts'

export type Recovered = {
  readonly keyspace: string
  readonly gaveUp: readonly string[]
  readonly opened: readonly string[]
  /** Ranges in phase retiring: `retire` finishes them. */
  readonly retiring: readonly { range: string; workflow: string | null }[]
}

/** Every keyspace of the installation, one after the other; only those that had something to do are told. */
export async function recoverAll(context: SwitchContext, limits: Partial<SwitchLimits> = {}): Promise<Recovered[]> {
  const done: Recovered[] = []
  const routings = await context.store.list(keys.routings)
  for (const key of routings.entries.keys()) {
    const recovered = await recoverKeyspace(context, key.slice(keys.routings.length), limits)
    if (recovered.gaveUp.length + recovered.opened.length + recovered.retiring.length > 0) done.push(recovered)
  }
  return done
}

/**
 * `recoverAll` for a leader that has just begun, before it takes up any workflow. A server that is down on the side that serves would hold it for
 * as long as it is down: past `limitMs` the leader begins all the same, and each verb recovers its own keyspace first.
 */
export async function recoverAtLead(context: SwitchContext, limitMs = 20_000): Promise<void> {
  const limit = new AbortController()
  const over = new AbortController()
  const timer = context.clock.sleep(limitMs, over.signal).then(
    () => limit.abort(new Error('recovery takes longer')),
    () => undefined,
  )
  const leadership = { ...context.leadership, signal: AbortSignal.any([context.leadership.signal, limit.signal]) }
  try {
    for (const recovered of await recoverAll({ ...context, leadership }))
      context.log.info(recovered, 'recovered a switch that was under way')
    await closeStrays({ ...context, leadership })
  } catch (error) {
    context.leadership.signal.throwIfAborted()
    context.log.error({ error: String(error) }, 'recovery is not complete; each action recovers its keyspace first')
  } finally {
    over.abort()
    await timer
  }
}

export async function recoverKeyspace(context: SwitchContext, keyspace: string, limits: Partial<SwitchLimits> = {}): Promise<Recovered> {
  const { store, leadership, log } = context
  let routing = await takeRouting(context, keyspace)
  const inPhase = (phase: RoutingComponent['phase']): RoutingComponent[] => routing.value.components.filter((c) => c.phase === phase)
  const gaveUp = inPhase('switching').map((c) => c.range)
  if (gaveUp.length > 0) {
    log.warn({ keyspace, ranges: gaveUp }, 'a switch was under way when the lead changed: giving it up')
    const step = { ranges: gaveUp, token: leadership.token, outcome: 'back' } as const
    routing = await decide(context, keyspace, routing, (record) => toOpening(record, step), gaveUp)
  }
  const opening = inPhase('opening')
  if (opening.length > 0) {
    const record = await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace))
    const done = await stepTen(
      {
        ...context,
        fence: { allowUnfenced: record?.value.allowUnfenced ?? [] },
        readGraceMs: limits.readGraceMs ?? defaultSwitchLimits.readGraceMs,
      },
      {
        keyspace,
        ranges: opening.map((c) => c.range),
        routing,
        serving: await readSide(
          store,
          keyspace,
          opening.flatMap((c) => c.serving.primary),
        ),
        other: await readSide(
          store,
          keyspace,
          opening.flatMap((c) => c.other),
        ),
        otherFence: 'unknown',
      },
    )
    routing = done.routing
  }
  await context.carrier?.recover(keyspace)
  return {
    keyspace,
    gaveUp,
    opened: opening.map((c) => c.range).filter((range) => !gaveUp.includes(range)),
    retiring: inPhase('retiring').map((c) => ({ range: c.range, workflow: c.workflow })),
  }
}
