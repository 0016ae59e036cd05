/** What every case of the switch's torture runs on: one cluster, its workflow 1 → 2, writers at both gates and straight at every server. */
import type { FenceKind } from '../../src/switch/fence-kinds.ts'
import { Cluster } from '../kit/cluster.ts'
import { countersSchema, countersVschema, Ledger } from '../kit/counters.ts'
import { until } from '../kit/until.ts'
import { seeded } from './seeded.ts'
import type { TortureOptions } from './switch-cases.ts'

export type Torture = TortureOptions & AsyncDisposable

export async function startTorture(options: {
  flavour: 'mariadb' | 'mysql'
  seed: number
  say: (line: string) => void
  patienceMs?: number
  topology?: 'etcd' | 'sqlite' | undefined
  fence?: FenceKind | undefined
  leaseMs?: number
}): Promise<Torture> {
  const ledger = new Ledger()
  const gateIds = Array.from({ length: 6 }, () => ledger.ids(6))
  const directIds = { whole: ledger.ids(3), low: ledger.ids(3, 'low'), high: ledger.ids(3, 'high') }
  const schema = [...countersSchema, ...ledger.insertStatements()]
  const topology = options.topology === undefined ? {} : { topology: options.topology }
  const lease = options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }
  const fence = options.fence === undefined ? {} : { fence: options.fence }
  const cluster = await Cluster.start({ flavour: options.flavour, schema, vschema: countersVschema, ...topology, ...fence, ...lease })
  try {
    await cluster.create()
    const modes = ['autocommit', 'prepared', 'transaction'] as const
    for (const [i, gate] of (['gate1', 'gate2'] as const).entries())
      for (const [j, mode] of modes.entries())
        ledger.throughGate(`${gate} ${mode}`, cluster.process(gate).port, gateIds[i * 3 + j] ?? [], mode)
    for (const server of ['whole', 'low', 'high'] as const) ledger.direct(cluster, server, directIds[server])
    await until('writers at both gates', () => ['gate1', 'gate2'].every((g) => ledger.activeSince(1).some((name) => name.startsWith(g))))
  } catch (error) {
    const told = cluster.describe(error)
    await ledger.stop()
    await cluster[Symbol.asyncDispose]()
    throw told
  }
  return {
    cluster,
    ledger,
    random: seeded(options.seed),
    say: options.say,
    patienceMs: options.patienceMs ?? 30_000,
    async [Symbol.asyncDispose]() {
      cluster.heal('reset')
      cluster.letGo()
      await ledger.stop()
      await cluster[Symbol.asyncDispose]()
    },
  }
}
