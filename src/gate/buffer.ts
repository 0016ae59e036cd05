/**
 * The hold rules of PROTOCOLS 3 "Gates", for one keyspace, as a pure state machine: statements that must wait while a
 * component is on hold, their order, their bounds, what the gate acknowledges and which transactions it expels.
 *
 * Why it is right:
 * - A ticket arrives already judged: only statements that must wait while held arrive (writes, first statements of
 *   transactions, reads that a server refused). It runs at once only when none of its components is held *and* nothing
 *   older waits for any of them: order is kept.
 * - `seen` is acknowledged in the very decision that starts holding: from that decision on nothing new begins on a held
 *   component, and what began earlier is in `open`, which is acknowledged again whenever it changes. So `open = 0` at
 *   version v means: nothing of this gate's writes or transactions runs there, nor will before the hold ends.
 * - A ticket leaves exactly once: released, failed or gone; bytes and counts follow it.
 * - Time only enters with events; `nextTickMs` says when the next one must come (promise 7: every wait has an end).
 */
export type Ticket = {
  readonly id: number
  /** Keys of the components it touches; all must be free. */
  readonly components: readonly string[]
  readonly bytes: number
}

type Waiting = Ticket & { readonly sinceMs: number }

export type BufferState = {
  readonly version: number
  /** Components on hold → since when, by our clock. */
  readonly held: ReadonlyMap<string, number>
  readonly waiting: readonly Waiting[]
  readonly bytes: number
  /** Transactions and writes open on held components, as last told. */
  readonly open: number
  /** Durations of waits since the hold began, and how many failed. */
  readonly waitedMs: readonly number[]
  readonly failed: number
  /** Transactions were expelled in this hold. */
  readonly expelled: boolean
}

export type BufferLimits = { readonly bytesMax: number; readonly waitMaxMs: number; readonly graceMs: number }

export type BufferEvent =
  | { readonly kind: 'routing'; readonly version: number; readonly held: readonly string[]; readonly open: number; readonly nowMs: number }
  | { readonly kind: 'arrive'; readonly ticket: Ticket; readonly nowMs: number }
  /** The client went away, or was killed. */
  | { readonly kind: 'leave'; readonly id: number; readonly nowMs: number }
  | { readonly kind: 'open'; readonly open: number; readonly nowMs: number }
  | { readonly kind: 'tick'; readonly nowMs: number }

export type HoldReport = { version: number; held: number; failed: number; longestMs: number; medianMs: number }

export type BufferEffect =
  | { readonly kind: 'release'; readonly id: number }
  | { readonly kind: 'fail'; readonly id: number; readonly reason: 'full' | 'expired'; readonly waitedMs: number }
  | { readonly kind: 'acknowledge'; readonly version: number; readonly open: number }
  /** Roll back every transaction still open on these components. */
  | { readonly kind: 'expel'; readonly components: readonly string[] }
  | { readonly kind: 'report'; readonly report: HoldReport }

export type BufferDecision = { readonly state: BufferState; readonly effects: readonly BufferEffect[] }

export const emptyBuffer: BufferState = {
  version: 0,
  held: new Map(),
  waiting: [],
  bytes: 0,
  open: 0,
  waitedMs: [],
  failed: 0,
  expelled: false,
}

/** Samples kept for the median; a hold is seconds at most. */
const samplesMax = 10_000

export function decide(state: BufferState, event: BufferEvent, limits: BufferLimits): BufferDecision {
  switch (event.kind) {
    case 'routing':
      return onRouting(state, event)
    case 'arrive':
      return onArrive(state, event.ticket, event.nowMs, limits)
    case 'leave': {
      const gone = state.waiting.find((w) => w.id === event.id)
      if (gone === undefined) return { state, effects: [] }
      const left = { ...state, waiting: state.waiting.filter((w) => w !== gone), bytes: state.bytes - gone.bytes }
      return drain(left, event.nowMs)
    }
    case 'open':
      if (event.open === state.open) return { state, effects: [] }
      return {
        state: { ...state, open: event.open },
        effects: state.held.size === 0 ? [] : [{ kind: 'acknowledge', version: state.version, open: event.open }],
      }
    case 'tick':
      return onTick(state, event.nowMs, limits)
  }
}

function onRouting(state: BufferState, event: Extract<BufferEvent, { kind: 'routing' }>): BufferDecision {
  if (event.version < state.version) return { state, effects: [] }
  const held = new Map<string, number>()
  for (const key of event.held) held.set(key, state.held.get(key) ?? event.nowMs)
  const begins = state.held.size === 0 && held.size > 0
  const next: BufferState = {
    ...state,
    version: event.version,
    held,
    open: event.open,
    ...(begins ? { waitedMs: [], failed: 0, expelled: false } : {}),
  }
  const drained = drain(next, event.nowMs)
  const effects: BufferEffect[] = [{ kind: 'acknowledge', version: event.version, open: event.open }, ...drained.effects]
  if (state.held.size > 0 && held.size === 0) effects.push({ kind: 'report', report: reportOf(drained.state) })
  return { state: drained.state, effects }
}

function onArrive(state: BufferState, ticket: Ticket, nowMs: number, limits: BufferLimits): BufferDecision {
  if (!blocked(ticket, state.held, blockedKeys(state))) return { state, effects: [{ kind: 'release', id: ticket.id }] }
  // One larger than the bound is let in alone: nothing is ever too large to wait.
  if (state.bytes > 0 && state.bytes + ticket.bytes > limits.bytesMax) {
    return { state: { ...state, failed: state.failed + 1 }, effects: [{ kind: 'fail', id: ticket.id, reason: 'full', waitedMs: 0 }] }
  }
  return {
    state: { ...state, waiting: [...state.waiting, { ...ticket, sinceMs: nowMs }], bytes: state.bytes + ticket.bytes },
    effects: [],
  }
}

function onTick(state: BufferState, nowMs: number, limits: BufferLimits): BufferDecision {
  const effects: BufferEffect[] = []
  const waiting: Waiting[] = []
  let { bytes, failed } = state
  for (const w of state.waiting) {
    if (nowMs - w.sinceMs < limits.waitMaxMs) {
      waiting.push(w)
      continue
    }
    bytes -= w.bytes
    failed++
    effects.push({ kind: 'fail', id: w.id, reason: 'expired', waitedMs: nowMs - w.sinceMs })
  }
  let expelled = state.expelled
  if (!expelled && state.open > 0) {
    const late = [...state.held].filter(([, sinceMs]) => nowMs - sinceMs >= limits.graceMs).map(([key]) => key)
    if (late.length > 0) {
      effects.push({ kind: 'expel', components: late })
      expelled = true
    }
  }
  const drained = drain({ ...state, waiting, bytes, failed, expelled }, nowMs)
  return { state: drained.state, effects: [...effects, ...drained.effects] }
}

/** Releases, oldest first, whatever neither a hold nor an older ticket keeps. */
function drain(state: BufferState, nowMs: number): BufferDecision {
  if (state.waiting.length === 0) return { state, effects: [] }
  const effects: BufferEffect[] = []
  const waiting: Waiting[] = []
  const waitedMs = [...state.waitedMs]
  const kept = new Set<string>()
  let bytes = state.bytes
  for (const w of state.waiting) {
    if (blocked(w, state.held, kept)) {
      waiting.push(w)
      for (const key of w.components) kept.add(key)
      continue
    }
    bytes -= w.bytes
    if (waitedMs.length < samplesMax) waitedMs.push(nowMs - w.sinceMs)
    effects.push({ kind: 'release', id: w.id })
  }
  return { state: { ...state, waiting, bytes, waitedMs }, effects }
}

function blocked(ticket: Ticket, held: ReadonlyMap<string, number>, kept: ReadonlySet<string>): boolean {
  return ticket.components.some((key) => held.has(key) || kept.has(key))
}

function blockedKeys(state: BufferState): ReadonlySet<string> {
  const keys = new Set<string>()
  for (const w of state.waiting) for (const key of w.components) keys.add(key)
  return keys
}

function reportOf(state: BufferState): HoldReport {
  const sorted = [...state.waitedMs].sort((a, b) => a - b)
  return {
    version: state.version,
    held: sorted.length + state.failed,
    failed: state.failed,
    longestMs: Math.round(sorted.at(-1) ?? 0),
    medianMs: Math.round(sorted[sorted.length >> 1] ?? 0),
  }
}

/** When `tick` must come at the latest, or null when nothing waits for time. */
export function nextTickMs(state: BufferState, limits: BufferLimits): number | null {
  const times = state.waiting.length > 0 ? [(state.waiting[0] as Waiting).sinceMs + limits.waitMaxMs] : []
  if (!state.expelled && state.open > 0) for (const sinceMs of state.held.values()) times.push(sinceMs + limits.graceMs)
  return times.length === 0 ? null : Math.min(...times)
}
