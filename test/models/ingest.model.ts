// long: one random world: taking it apart would hide which fault meets which rule
/**
 * Random model of PROTOCOLS 4: two topics that write the same roll-up, two branches of N shards, consumers by leases that crash, pause past their lease
 * (zombies, also inside an open transaction), lose replies; commits that happen long after their client died; retention; purge; shards that fail over to an
 * older state; a changed definition; added partitions; dimension rows copied from old to new; tenants ramped by two gates that learn of it at different
 * times. Each rule can be switched off. Odd seeds: ramp and compare; even seeds: failover and change of definition (every fourth: the new branch is
 * made after that change). `loses`: the new branch's consumers have a bug that
 * drops some records in silence; the comparison at the end must see every bucket that it harmed.
 *
 * What is concluded is concluded by the product's own code (src/ingest/decide.ts, order-version.ts) wherever it is a conclusion.
 */
import { fence, gap, judgeBuckets, type BranchMarks, type JudgedBuckets } from '../../src/ingest/decide.ts'
import { compareVersions } from '../../src/ingest/order-version.ts'
import { ModelServers, ModelShard, type Triple, type Version } from './ingest.server.ts'
import { Random } from './random.ts'

const lease = 25
const idle = 30
const faultyUntil = 900
const limit = 9000

export type IngestRules = Record<
  | 'epoch'
  | 'cas'
  | 'resolve'
  | 'fenceFirst'
  | 'routeFirst'
  | 'allCas'
  | 'serverMerge'
  | 'ordered'
  | 'idleKill'
  | 'reconnectAsks'
  | 'versionAtOffset'
  | 'versionsOfFirst'
  | 'totalOrder'
  | 'floorLock'
  | 'startRecorded'
  | 'newPartZero'
  | 'stopOnGap'
  | 'advanceEmpty'
  | 'dedupe'
  | 'marks'
  | 'unequalMarks'
  | 'dimGuard'
  | 'dimAfterStart'
  | 'dimWait'
  | 'close'
  | 'acksFirst'
  | 'allParts',
  boolean
> & { published: null | 'first' | 'last'; loses: boolean }

export const ingestRules: IngestRules = {
  epoch: true,
  cas: true,
  resolve: true,
  fenceFirst: true,
  routeFirst: true,
  allCas: true,
  serverMerge: true,
  ordered: true,
  idleKill: true,
  reconnectAsks: true,
  versionAtOffset: true,
  versionsOfFirst: true,
  totalOrder: true,
  floorLock: true,
  startRecorded: true,
  newPartZero: true,
  stopOnGap: true,
  advanceEmpty: true,
  dedupe: true,
  marks: true,
  unequalMarks: true,
  dimGuard: true,
  dimAfterStart: true,
  dimWait: true,
  close: true,
  acksFirst: true,
  allParts: true,
  published: null,
  loses: false,
}

type Event = { id: number; tenant: number; key: number; val: number; et: number; b: number; tp: string; off: number }
type Branch = 'old' | 'new'
type Gen = Generator<undefined, void>
type Rec = { st: Branch | 'closing'; e: number; from?: Branch; to?: Branch; H?: Map<string, number> | null }
const branches = ['old', 'new'] as const

class Bad extends Error {}
class Stop extends Error {}

export function runIngest(seed: number, R: IngestRules): string | null {
  const r = new Random(seed)
  const ramp = seed % 2 === 1
  let second = seed % 4 === 0
  const servers = new ModelServers(r)
  const log = new Map<string, Event[]>(['a0', 'a1', 'b0', 'b1'].map((tp) => [tp, []]))
  const logStart = new Map<string, number>([...log.keys()].map((tp) => [tp, 0]))
  const start0 = new Set(log.keys())
  let clock = 40
  let ident = 0
  const shardsOf: Record<Branch, ModelShard[]> = {
    old: Array.from({ length: r.pick([2, 3, 4]) }, () => new ModelShard()),
    new: Array.from({ length: r.pick([4, 6, 8]) }, () => new ModelShard()),
  }
  const per = <T>(make: () => T): Record<Branch, T> => ({ old: make(), new: make() })
  // The topology: leases with epochs, start vector, definition 2 from offset V.
  const leases = per(() => new Map<string, { holder: number | null; epoch: number; until: number }>())
  const start = per(() => new Map<string, number>())
  const V = per(() => new Map<string, number>())
  const group = per(() => new Map<string, number>())
  const born = { old: 0, new: r.between(100, 300) }
  const mode = r.pick(['pin', 'pin', 'wait'])
  if (second) born.new = Infinity
  const shardFor = (b: Branch, tenant: number): ModelShard => {
    const S = shardsOf[b]
    return S[(tenant * 5 + 3) % S.length] as ModelShard
  }
  const val = (b: Branch, e: Event, code: number): number =>
    e.val * (code === 2 && (!R.versionAtOffset || e.off >= (V[b].get(e.tp) ?? Infinity)) ? 100 : 1)
  const full = ({ et, tp, off }: Version): Parameters<typeof compareVersions>[0] => ({
    timeMs: et,
    topicId: tp[0] ?? '',
    partition: Number(tp[1]),
    offset: BigInt(off),
    place: 0,
  })
  const newer = (a: Version, b: Version | undefined): boolean =>
    b === undefined || (R.totalOrder ? compareVersions(full(a), full(b)) > 0 : a.et > b.et || (a.et === b.et && a.off >= b.off))
  const add = (a: Triple | undefined, c: Triple): Triple => (a === undefined ? c : [a[0] + c[0], Math.max(a[1], c[1]), a[2] + c[2]])

  function produce(): void {
    ident++
    clock += r.chance(0.6) ? 1 : 0
    const et = clock - r.pick([0, 0, 0, 1, 2, 3, 4, 9])
    const e = { id: ident, tenant: r.below(3), key: r.below(2), val: r.between(1, 50), et, b: Math.floor(et / 4) }
    // A producer's retry: the same event at two offsets, perhaps in two partitions.
    for (let i = r.chance(0.1) ? 2 : 1; i > 0; i--) {
      const tp = r.pick([...log.keys()])
      const records = log.get(tp) as Event[]
      records.push({ ...e, tp, off: records.length })
    }
  }

  const first = (b: Branch, tp: string): number => {
    const end = (log.get(tp) as Event[]).length
    if (!start0.has(tp)) {
      if (R.newPartZero) return 0
      if (!start[b].has(tp)) start[b].set(tp, end)
      return start[b].get(tp) as number
    }
    if (R.startRecorded || b === 'old') return start[b].get(tp) as number
    return mode === 'pin' ? (logStart.get(tp) as number) : end
  }

  function* fenced(
    b: Branch,
    sh: ModelShard,
    tp: string,
    e: number,
    gen: number,
  ): Generator<undefined, number | 'again' | 'zombie' | null> {
    return yield* servers.txn(sh, [[`1pos ${tp}`, 'X']], () => {
      if (R.reconnectAsks && sh.gen !== gen) return 'again' as const
      const row = sh.d.pos.get(tp) ?? { next: first(b, tp), epoch: 0 }
      sh.d.pos.set(tp, row)
      if (R.epoch && fence({ epoch: BigInt(row.epoch), next: BigInt(row.next) }, BigInt(e)) === 'newer holder') return 'zombie' as const
      if (R.fenceFirst) row.epoch = Math.max(e, row.epoch)
      sh.read.set(tp, Math.max(e, sh.read.get(tp) ?? 0))
      return row.next
    })
  }

  function* write(
    b: Branch,
    sh: ModelShard,
    evs: Event[],
    rng: Map<string, [number, number]>,
    own: ReadonlyMap<string, number>,
    code: number,
    gens: (number | undefined)[],
  ): Generator<undefined, boolean | null> {
    const agg = new Map<string, { tenant: number; bucket: number; value: Triple; offs: number[] }>()
    const last = new Map<string, { tenant: number; version: Version; value: number }>()
    for (const e of evs) {
      const k = `${e.tenant} ${e.key} ${e.b}`
      const v = val(b, e, code)
      const there = agg.get(k)
      agg.set(k, { tenant: e.tenant, bucket: e.b, value: add(there?.value, [v, v, 1]), offs: [...(there?.offs ?? []), e.off] })
      const lk = `${e.tenant} ${e.key}`
      const version = { et: e.et, tp: e.tp, off: e.off }
      if (newer(version, last.get(lk)?.version)) last.set(lk, { tenant: e.tenant, version, value: v })
    }
    if (!R.routeFirst) {
      const least = Math.min(...[...rng.values()].map(([f]) => f))
      for (const [k, a] of agg) if (Math.max(...a.offs) < least) agg.delete(k)
    }
    const floor = sh.d.floor
    const seen = new Map([...agg.keys()].map((k) => [k, sh.d.agg.get(k)?.value]))
    let keys = [...[...agg.keys()].map((k) => `3agg ${k}`), ...[...last.keys()].map((k) => `4last ${k}`)].sort()
    if (!R.ordered) keys = r.shuffle(keys)
    const locks: [string, 'S' | 'X'][] = [
      ...(R.published === null ? [...rng.keys()].sort().map((tp): [string, 'X'] => [`1pos ${tp}`, 'X']) : []),
      ...(R.floorLock ? [['2floor', 'S'] as [string, 'S']] : []),
      ...keys.map((k): [string, 'X'] => [k, 'X']),
    ]
    return yield* servers.txn(sh, locks, () => {
      const { d } = sh
      const fl = R.floorLock ? d.floor : floor
      const mine = new Map<string, boolean>()
      if (R.published === null) {
        if (R.reconnectAsks && gens.some((g) => g !== sh.gen)) return false
        for (const [tp, [f]] of rng) {
          const row = d.pos.get(tp) ?? { next: -1, epoch: -1 }
          const e = own.get(tp) as number
          mine.set(tp, (!R.cas || row.next === f) && (!R.epoch || (R.fenceFirst ? row.epoch === e : row.epoch <= e)))
        }
        const match = [...mine.values()]
        if (!(R.allCas ? match.every(Boolean) : match.some(Boolean))) return false
        if (ramp && [...rng.keys()].some((tp) => (own.get(tp) as number) < (sh.read.get(tp) ?? 0))) throw new Bad('a zombie wrote')
      }
      for (const [k, a] of agg) {
        if (a.bucket < fl) continue
        if (R.published !== null) {
          const u = `${k} ${[...rng.keys()].join()} ${R.published === 'first' ? Math.min(...a.offs) : Math.max(...a.offs)}`
          if (d.uid.has(u)) continue
          d.uid.add(u)
        }
        d.agg.set(k, { tenant: a.tenant, bucket: a.bucket, value: add(R.serverMerge ? d.agg.get(k)?.value : seen.get(k), a.value) })
      }
      for (const [k, a] of last) if (newer(a.version, d.last.get(k)?.version)) d.last.set(k, a)
      for (const e of evs) {
        if (e.b < fl || (R.published === null && !R.routeFirst && e.off < (rng.get(e.tp) as [number, number])[0])) continue
        const o = `${e.tp} ${e.off}`
        if (d.rows.has(o) && R.published === null) throw new Bad('1:1 row written twice')
        if (!d.rows.has(o) && (!R.dedupe || !d.ids.has(`${e.id} ${e.b}`))) {
          const u = `${e.tenant} ${e.b}`
          d.uniq.set(u, { bucket: e.b, count: (d.uniq.get(u)?.count ?? 0) + 1 })
        }
        d.rows.set(o, { bucket: e.b, value: val(b, e, code) })
        d.ids.set(`${e.id} ${e.b}`, e.b)
        const mk = `${e.tp} ${e.b}`
        const m = d.mark.get(mk) ?? { tp: e.tp, bucket: e.b, first: e.off, last: e.off }
        d.mark.set(mk, { ...m, first: Math.min(m.first, e.off), last: Math.max(m.last, e.off) })
      }
      for (const [tp, ok] of mine) {
        const row = d.pos.get(tp)
        if (ok && row !== undefined)
          d.pos.set(tp, { next: (rng.get(tp) as [number, number])[1], epoch: Math.max(own.get(tp) as number, row.epoch) })
      }
      return true
    })
  }

  /** Of some seeds one in many, of others whole runs of a partition. */
  const lost = (b: Branch, { id, off, tp }: Event): boolean =>
    R.loses && b === 'new' && (seed % 4 === 1 ? id % 17 === 5 : tp === 'a1' && Math.floor(off / 6) % 3 === 1)

  function* consumer(b: Branch, me: number, code: number): Gen {
    const own = new Map<string, number>()
    const nxt = new Map<string, number>()
    const gens = new Map<string, number>()
    const S = shardsOf[b]
    const at = (s: number, tp: string): number => nxt.get(`${s} ${tp}`) ?? 0
    const held = (tp: string): { holder: number | null; epoch: number; until: number } => {
      const there = leases[b].get(tp) ?? { holder: null, epoch: 0, until: 0 }
      leases[b].set(tp, there)
      return there
    }
    function* take(tp: string, s: number): Generator<undefined, boolean> {
      const sh = S[s] as ModelShard
      let n: number | 'again' | 'zombie' | null = 'again'
      let gen = sh.gen
      while (n === null || n === 'again') {
        gen = sh.gen
        yield
        if (held(tp).epoch !== own.get(tp) && R.epoch && R.reconnectAsks) return false
        yield
        n = yield* fenced(b, sh, tp, own.get(tp) as number, gen)
      }
      if (n === 'zombie') return false
      nxt.set(`${s} ${tp}`, n)
      gens.set(`${s} ${tp}`, gen)
      return true
    }
    for (;;) {
      yield
      for (const [tp, records] of log) {
        const l = held(tp)
        if (own.has(tp) && l.epoch === own.get(tp)) l.until = servers.now + lease
        else if (own.has(tp)) own.delete(tp)
        else if (servers.now >= l.until && records.length > 0 && r.chance(0.4) && !(code === 1 && V[b].has(tp))) {
          Object.assign(l, { holder: me, epoch: l.epoch + 1, until: servers.now + lease })
          own.set(tp, l.epoch)
          if (R.published !== null) {
            for (let s = 0; s < S.length; s++) nxt.set(`${s} ${tp}`, group[b].get(tp) ?? first(b, tp))
            continue
          }
          for (const s of r.shuffle([...S.keys()])) {
            if (!(yield* take(tp, s))) {
              own.delete(tp)
              break
            }
          }
          if (own.has(tp) && code === 2 && l.epoch === own.get(tp) && !V[b].has(tp)) V[b].set(tp, Math.max(...S.map((_, s) => at(s, tp))))
        }
      }
      const to = new Map<string, number>()
      const got = new Map<string, Event[]>()
      for (const tp of r.shuffle([...own.keys()].sort()).slice(0, R.published !== null ? 1 : 2)) {
        const records = log.get(tp) as Event[]
        let lo = Math.min(...S.map((_, s) => at(s, tp)))
        const begin = logStart.get(tp) as number
        if (gap(BigInt(lo), BigInt(begin)) !== null && R.stopOnGap) throw new Stop('gap')
        lo = Math.max(lo, begin)
        if (lo < records.length) {
          const end = r.between(lo, Math.min(records.length, lo + 6)) + 1
          to.set(tp, end)
          got.set(tp, records.slice(lo, end))
        }
      }
      const base = new Map([...to.keys()].map((tp) => [tp, Math.min(...S.map((_, s) => at(s, tp)))]))
      let ok = true
      for (const s of to.size > 0 ? r.shuffle([...S.keys()]) : []) {
        const rng = new Map<string, [number, number]>()
        for (const [tp, t] of to) if (at(s, tp) < t && own.has(tp)) rng.set(tp, [at(s, tp), t])
        const evs = [...rng].flatMap(([tp, [f]]) =>
          (got.get(tp) ?? []).filter(
            (e) => e.off >= (R.routeFirst ? f : (base.get(tp) as number)) && shardFor(b, e.tenant) === S[s] && !lost(b, e),
          ),
        )
        const move = (): void => {
          for (const [tp, [, t]] of rng) nxt.set(`${s} ${tp}`, t)
        }
        if (rng.size === 0 || (evs.length === 0 && !R.advanceEmpty)) {
          move()
          continue
        }
        yield
        const done = yield* write(
          b,
          S[s] as ModelShard,
          evs,
          rng,
          new Map(own),
          code,
          [...rng.keys()].map((tp) => gens.get(`${s} ${tp}`)),
        )
        if (done === true) {
          move()
          continue
        }
        ok = false
        // Refused, rolled back or unknown alike: ask the shard.
        for (const tp of R.resolve && R.published === null ? rng.keys() : []) if (own.has(tp) && !(yield* take(tp, s))) own.delete(tp)
      }
      if (R.published !== null && ok) for (const [tp, t] of to) group[b].set(tp, t)
      else if (R.published !== null) own.clear()
    }
  }

  function* purge(sh: ModelShard, goal: number): Gen {
    yield* servers.txn(sh, [['2floor', 'X']], () => {
      const { d } = sh
      d.floor = Math.max(d.floor, goal)
      for (const rows of [d.agg, d.rows, d.uniq, d.mark] as Map<string, { bucket: number }>[])
        for (const [k, { bucket }] of rows) if (bucket < d.floor) rows.delete(k)
      for (const [k, bucket] of d.ids) if (bucket < d.floor) d.ids.delete(k)
    })
  }

  let copied = false
  function* mover(): Gen {
    while (R.dimAfterStart && shardsOf.old.some((sh) => [...start.new].some(([tp, n]) => (sh.d.pos.get(tp)?.next ?? 0) < n))) yield
    for (const sh of shardsOf.old) {
      // As they stand now: others are written meanwhile.
      const standing = [...sh.d.last]
      for (const [k, v] of standing) {
        for (let i = r.below(4); i > 0; i--) yield
        const to = shardFor('new', v.tenant).d.last
        if (!R.dimGuard || newer(v.version, to.get(k)?.version)) to.set(k, v)
      }
    }
    copied = true
  }

  type Snap = { pos: ModelShard['d']['pos']; agg: ModelShard['d']['agg']; mark: ModelShard['d']['mark']; floor: number }
  const sums = (shards: readonly { agg: ModelShard['d']['agg'] }[], want: (bucket: number) => boolean): string => {
    const out = new Map<string, Triple>()
    for (const { agg } of shards) for (const [k, a] of agg) if (want(a.bucket)) out.set(k, add(out.get(k), a.value))
    return JSON.stringify([...out].sort(([a], [c]) => (a < c ? -1 : 1)))
  }
  function judgeMarks(snap: Record<Branch, Pick<Snap, 'pos' | 'mark' | 'floor'>[]>): JudgedBuckets {
    const marks = (b: Branch): BranchMarks => ({
      start: new Map([...start[b]].map(([tp, n]) => [tp, BigInt(n)])),
      shards: snap[b].map(({ pos, mark, floor }) => {
        const byBucket = new Map<number, Map<string, { first: bigint; last: bigint }>>()
        for (const m of mark.values()) {
          const of = byBucket.get(m.bucket) ?? new Map<string, { first: bigint; last: bigint }>()
          byBucket.set(m.bucket, of.set(m.tp, { first: BigInt(m.first), last: BigInt(m.last) }))
        }
        return { floorMs: floor, next: new Map([...pos].map(([tp, row]) => [tp, BigInt(row.next)])), marks: byBucket }
      }),
    })
    const judged = judgeBuckets(marks('old'), marks('new'), 'each record')
    return R.unequalMarks ? judged : { ...judged, lacking: [] }
  }
  function* compare(): Gen {
    const snap: Record<Branch, Snap[]> = { old: [], new: [] }
    for (const b of branches)
      for (const { d } of shardsOf[b]) {
        snap[b].push(structuredClone({ pos: d.pos, agg: d.agg, mark: d.mark, floor: d.floor }))
        yield
      }
    let good: number[]
    const low = Math.max(...branches.flatMap((b) => snap[b].map(({ floor }) => floor)))
    if (R.marks) {
      const judged = judgeMarks(snap)
      good = [...judged.comparable]
      if (judged.lacking.length > 0) throw new Bad('compare: records said to be missing that are not')
    } else {
      const at = (b: Branch, tp: string): number => Math.min(...snap[b].map(({ pos }) => pos.get(tp)?.next ?? 0))
      good = []
      for (let bk = low; bk <= Math.floor(clock / 4); bk++) {
        const past = branches.every((b) =>
          [...log].every(([tp, records]) => bk < Math.max(0, ...records.slice(0, at(b, tp)).map((e) => e.b)) - 1),
        )
        const begun = [...start.new].every(([tp, n]) => bk > (log.get(tp)?.[n]?.b ?? -1))
        if (past && begun) good.push(bk)
      }
    }
    for (const bk of good)
      if (sums(snap.old, (b) => b === bk) !== sums(snap.new, (b) => b === bk)) throw new Bad('compare: a difference where there is none')
  }

  // ---- the ramp: one versioned record a tenant, gates see it late; nobody serves a tenant that is closing
  const rec: Rec[] = Array.from({ length: 3 }, () => ({ st: 'old', e: 0 }))
  const gates: Rec[][] = [0, 1].map(() => rec.map((x) => ({ ...x })))
  const seen = rec.map(() => ({ was: new Map<string, number>(), dims: new Map<string, Version>() }))
  const vec = (b: Branch, t: number): Map<string, number> => new Map([...shardFor(b, t).d.pos].map(([tp, row]) => [tp, row.next]))
  const reached = (a: Map<string, number>, h: Map<string, number>, t: number): boolean =>
    [...h].every(([tp, n]) => (!R.allParts && Number(tp[1]) !== t % 2) || (a.get(tp) ?? 0) >= n)
  const other = { old: 'new', new: 'old' } as const
  function control(t: number): void {
    const x = rec[t] as Rec
    const acknowledged = gates.every((g) => (g[t] as Rec).e === x.e)
    if (x.st !== 'closing') {
      if ((!copied && R.dimWait) || r.chance(0.8)) return
      const o = other[x.st]
      if (R.close) rec[t] = { st: 'closing', e: x.e + 1, from: x.st, to: o, H: null }
      else if (reached(vec(o, t), vec(x.st, t), t)) rec[t] = { st: o, e: x.e + 1 }
      return
    }
    const { from = 'old', to = 'new' } = x
    if (x.H === null || x.H === undefined) x.H = !R.acksFirst || acknowledged ? vec(from, t) : null
    else if (!acknowledged) return
    else if (reached(vec(to, t), x.H, t)) rec[t] = { st: to, e: x.e + 1 }
    else if (r.chance(0.1)) rec[t] = { st: from, e: x.e + 1 }
  }
  function read(t: number, g: number): void {
    const { st: b } = (gates[g] as Rec[])[t] as Rec
    if (b === 'closing') return
    const v = vec(b, t)
    const { last } = shardFor(b, t).d
    const mine = seen[t] as (typeof seen)[number]
    if ([...mine.was].some(([tp, n]) => (v.get(tp) ?? 0) < n)) throw new Bad('a reader went back in time')
    for (const [k, version] of mine.dims) {
      const now = last.get(k)
      if (now === undefined || compareVersions(full(now.version), full(version)) < 0) throw new Bad('a dimension went back in time')
    }
    mine.was = v
    mine.dims = new Map([...last].filter(([, x]) => x.tenant === t).map(([k, x]) => [k, x.version]))
  }

  type Runner = { b: Branch; gen: Gen; sleep: number; code: number }
  const cons = new Map<number, Runner>()
  let jobs: Gen[] = []
  const deploy = ramp ? Infinity : r.between(200, 700)
  const fail = ramp ? -1 : r.between(300, 800)
  let n = 0
  const spawn = (b: Branch): void => {
    n++
    const code = servers.now >= deploy && (b === 'old' || second) ? 2 : 1
    cons.set(n, { b, gen: consumer(b, n, code), sleep: 0, code })
  }
  spawn('old')
  spawn('old')
  for (const tp of start0) start.old.set(tp, 0)
  const grow = r.between(200, 800)
  let ended: number | null = null
  try {
    for (;;) {
      if (servers.now >= limit) return 'never finished'
      const now = ++servers.now
      const faulty = (servers.faulty = now < faultyUntil)
      if (faulty && r.chance(0.25)) produce()
      if (now === grow) {
        log.set('a2', [])
        logStart.set('a2', 0)
      }
      // 4.12 across branches: once the old one has fixed in all partitions from where on the new version counts. Not in time: the branch is made by the first version, as elsewhere.
      if (born.new === Infinity) {
        const fixed = log.size === 5 && [...log.keys()].every((tp) => V.old.has(tp))
        if (fixed || now === faultyUntil - 100) {
          born.new = now
          second = fixed
          if (log.has('a2')) start.old.set('a2', 0)
          if (log.has('a2')) start0.add('a2')
          if (fixed && R.versionsOfFirst) for (const [tp, from] of V.old) V.new.set(tp, from)
        }
      }
      if (now === born.new) {
        for (const tp of start0) {
          const end = (log.get(tp) as Event[]).length
          start.new.set(tp, mode === 'pin' ? Math.min(end, (logStart.get(tp) as number) + 1) : end)
        }
        for (let i = 0; i < 3; i++) spawn('new')
        jobs.push(mover())
      }
      if (faulty && r.chance(0.005)) {
        const tp = r.pick([...log.keys()])
        const was = logStart.get(tp) as number
        logStart.set(tp, Math.max(was, Math.min((log.get(tp) as Event[]).length - 18, was + 3)))
      }
      if (faulty && r.chance(0.02)) jobs.push(purge(r.pick(shardsOf[r.pick(branches)]), Math.max(0, Math.floor(clock / 4) - 16)))
      if (ramp && !R.loses && r.chance(0.02) && now > born.new) jobs.push(compare())
      if (ramp && !R.loses && r.chance(0.3)) control(r.below(3))
      if (ramp && r.chance(0.1)) {
        const t = r.below(3)
        ;(gates[r.below(2)] as Rec[])[t] = { ...(rec[t] as Rec) }
      }
      if (ramp && !R.loses && r.chance(0.3)) read(r.below(3), r.below(2))
      for (const b of branches)
        for (const sh of shardsOf[b]) {
          if (sh.late.length > 0 && r.chance(0.08)) {
            const late = sh.late.shift() as ModelShard['late'][number]
            late.body()
            servers.release(late.tx)
          }
          if (!ramp && now % 40 === 0) sh.old = [...sh.old, structuredClone(sh.d)].slice(-2)
        }
      for (const tx of servers.txs) if (!tx.dead && !tx.sent && now - tx.at > idle && R.idleKill) servers.release(tx)
      servers.txs = servers.txs.filter((tx) => !tx.dead || (tx.sent && tx.shard.late.some((late) => late.tx === tx)))
      if (now === fail) {
        const sh = r.pick(shardsOf[r.pick(branches)])
        sh.late = []
        for (const tx of servers.txs) if (tx.shard === sh) servers.release(tx)
        sh.gen++
        if (sh.old[0] !== undefined) sh.d = structuredClone(sh.old[0])
      }
      const present = [...cons]
      for (const [id, c] of present) {
        if (now < c.sleep || r.chance(0.4)) continue
        if (faulty && r.chance(0.008)) {
          c.gen.return(undefined)
          cons.delete(id)
          spawn(c.b)
          continue
        }
        if (faulty && r.chance(0.012)) {
          c.sleep = now + r.pick([10, 60, 60, 1e9])
          continue
        }
        c.gen.next()
      }
      // Somebody is always awake.
      for (const b of branches) {
        const late = now >= deploy && (b === 'old' || second) ? 1 : 0
        if ((b === 'old' || now > born.new) && ![...cons.values()].some((c) => c.b === b && c.sleep < 1e8 && c.code > late)) spawn(b)
      }
      jobs = jobs.filter((job) => job.next().done !== true)
      const caught = (): boolean =>
        branches.every((b) =>
          shardsOf[b].every(
            (sh) =>
              sh.late.length === 0 &&
              [...log].every(
                ([tp, records]) =>
                  records.length === 0 ||
                  (R.published !== null ? (group[b].get(tp) ?? 0) : (sh.d.pos.get(tp)?.next ?? 0)) >= records.length,
              ),
          ),
        )
      if (!faulty && ended === null && caught()) {
        ended = now
        // Zombies wake when all is over.
        for (const c of cons.values()) c.sleep = 0
      }
      if (ended !== null && now > ended + 200) break
    }
    return R.loses ? judgeLosses() : judge()
  } catch (error) {
    if (error instanceof Bad) return error.message
    if (error instanceof Stop) return null
    throw error
  }

  /** All is written and every shard stands at the end: each whole bucket that differs is found, by its sums or by its marks, and no other. */
  function judgeLosses(): string | null {
    if (!ramp) return null
    const D = { old: shardsOf.old.map(({ d }) => d), new: shardsOf.new.map(({ d }) => d) }
    const { comparable, lacking } = judgeMarks(D)
    const floor = Math.max(...branches.flatMap((b) => D[b].map((d) => d.floor)))
    const begin = (tp: string): number => Math.max(...branches.map((b) => start[b].get(tp) ?? 0))
    const events = [...log.values()].flat().filter(({ b }) => b >= floor)
    for (const bk of new Set(events.map(({ b }) => b))) {
      const differs = sums(D.old, (b) => b === bk) !== sums(D.new, (b) => b === bk)
      const byMarks = lacking.some(({ bucketMs }) => bucketMs === bk)
      const harmed = events.some((e) => e.b === bk && e.off >= begin(e.tp) && lost('new', e))
      const whole = events.every((e) => e.b !== bk || e.off >= begin(e.tp))
      if (byMarks && !harmed) return 'compare: records said to be missing that are not'
      if (comparable.includes(bk) && differs && !harmed) return 'compare: a difference where there is none'
      if (harmed && whole && !byMarks && !(comparable.includes(bk) && differs)) return 'compare: a lost record is passed over'
    }
    return null
  }

  function judge(): string | null {
    for (const b of branches) {
      const D = shardsOf[b].map(({ d }) => d)
      const lo = Math.max(...D.map(({ floor }) => floor))
      if (D.some((d) => [...d.agg.values()].some(({ bucket }) => bucket < d.floor))) return 'a purged bucket came back'
      const want = new Map<string, { tenant: number; bucket: number; value: Triple }>()
      const ids = new Map<string, Set<number>>()
      let count = 0
      for (const [tp, records] of log)
        for (const e of records.slice(start0.has(tp) ? (start[b].get(tp) ?? 0) : 0)) {
          if (e.b < lo) continue
          const v = e.val * (e.off >= (V[second ? 'old' : b].get(tp) ?? Infinity) ? 100 : 1)
          const k = `${e.tenant} ${e.key} ${e.b}`
          want.set(k, { tenant: e.tenant, bucket: e.b, value: add(want.get(k)?.value, [v, v, 1]) })
          ids.set(`${e.tenant} ${e.b}`, (ids.get(`${e.tenant} ${e.b}`) ?? new Set()).add(e.id))
          count++
        }
      const got = sums(D, (bucket) => bucket >= lo)
      if (got !== sums([{ agg: want }], () => true)) {
        const counted = D.reduce((sum, d) => sum + [...d.agg.values()].reduce((x, a) => x + (a.bucket >= lo ? a.value[2] : 0), 0), 0)
        return `${b}: sums ${counted > count ? 'doubled' : 'lost or wrong'}`
      }
      if (D.reduce((sum, d) => sum + [...d.rows.values()].filter((x) => x.bucket >= lo).length, 0) !== count) return `${b}: 1:1 rows`
      const uniq = new Map(D.flatMap((d) => [...d.uniq].filter(([, u]) => u.bucket >= lo).map(([k, u]) => [k, u.count] as const)))
      if (uniq.size !== ids.size || [...ids].some(([k, set]) => uniq.get(k) !== set.size)) return `${b}: events counted once`
    }
    const lasts = (b: Branch): string => JSON.stringify(shardsOf[b].flatMap(({ d }) => [...d.last].map(([k, x]) => [k, x.value])).sort())
    if (V.old.size === 0 && lasts('old') !== lasts('new')) return 'last: old and new differ'
    return null
  }
}
