/**
 * The matrix of `npm run torture:switch`: at every step of a switch, each fault for each victim. One case: the switch is held at the step, the
 * fault is laid, the switch goes on (or its process is gone), the fault ends, and then everything must have come right by itself.
 */
import { systemClock as clock } from '../../src/base/clock.ts'
import { switchCrashPoints } from '../../src/switch/crash-points.ts'
import type { ActionView } from '../../src/api/schemas.ts'
import mysql from 'mysql2/promise'
import { client, schemaOf } from '../kit/cluster.ts'
import type { Cluster, ProcessName, ServerName } from '../kit/cluster.ts'
import { contentOf, sameContent } from '../kit/counters.ts'
import type { Ledger } from '../kit/counters.ts'
import { until } from '../kit/until.ts'

export const faults = ['kill', 'stop', 'cut'] as const
export const victims = ['leader', 'standby', 'gate1', 'gate2', 'mover', 'source', 'target', 'etcd'] as const
export type Fault = (typeof faults)[number]
export type Victim = (typeof victims)[number]
export type Case = { readonly step: (typeof switchCrashPoints)[number]; readonly fault: Fault; readonly victim: Victim }
export type CaseResult = {
  readonly name: string
  readonly ms: number
  /** Where the time went: coming to the step, the fault, the end of the action, streams and clients, the judgement. */
  readonly parts: readonly number[]
  /** `switched`, `given up` or what the action said. */
  readonly outcome: string
  readonly acknowledged: number
  readonly clientErrors: readonly string[]
}

export const allCases: readonly Case[] = switchCrashPoints.flatMap((step) =>
  faults.flatMap((fault) => victims.map((victim) => ({ step, fault, victim }))),
)

export function caseName({ step, fault, victim }: Case): string {
  return `${step}/${fault}/${victim}`
}

/** `--only step/fault/victim`; `*` or nothing for any. */
export function matching(pattern: string): Case[] {
  const parts = pattern.split('/')
  const fits = (part: string | undefined, value: string): boolean => part === undefined || part === '' || part === '*' || part === value
  return allCases.filter((one) => fits(parts[0], one.step) && fits(parts[1], one.fault) && fits(parts[2], one.victim))
}

export type TortureOptions = {
  readonly cluster: Cluster
  readonly ledger: Ledger
  readonly random: () => number
  readonly say: (line: string) => void
  /** For things that a loaded machine makes slow; the case itself is judged by `limitMs`. */
  readonly patienceMs: number
}

export async function runCase(options: TortureOptions, one: Case): Promise<CaseResult> {
  const { cluster, ledger, random, patienceMs } = options
  const startedMs = clock.monotonicMs()
  const marks = [startedMs]
  const mark = (): void => void marks.push(clock.monotonicMs())
  const errorsFrom = ledger.errors.length
  const acknowledgedFrom = ledger.acknowledged
  const serving = await cluster.serving()
  const verb = serving.includes('whole') ? 'switchtraffic' : 'reversetraffic'
  const leader = await cluster.leader()
  const other = leader === 'control1' ? 'control2' : 'control1'
  const asked = one.victim === 'leader' ? other : leader
  const action = await askUntilHeld(options, one, asked, verb)
  mark()
  const end = await lay(options, one, { leader, standby: other, serving })
  cluster.letGo()
  await end(random() < 0.5 ? 'resume' : 'reset')
  mark()
  const ended = await cluster.reshard(asked).outcome(action, patienceMs)
  mark()
  await comesRight(options, asked)
  mark()
  const wrong = await judge(options)
  mark()
  if (wrong.length > 0) throw new Error(`${caseName(one)}: ${wrong.length} wrong:\n${wrong.slice(0, 20).join('\n')}`)
  return {
    name: caseName(one),
    ms: clock.monotonicMs() - startedMs,
    parts: marks.slice(1).map((at, i) => Math.round(at - (marks[i] ?? at))),
    outcome: outcomeOf(ended),
    acknowledged: ledger.acknowledged - acknowledgedFrom,
    clientErrors: ledger.errors.slice(errorsFrom).map((error) => `${error.writer}: ${error.text}`),
  }
}

/**
 * Errors that nobody's fault explains: the death of a controller, of the standby or of the mover is nothing that a client sees, but for a
 * transaction that did not end within the grace (1213); of a gate only its own clients hear.
 */
export function unexplained({ victim }: Case, errors: readonly string[]): string[] {
  if (victim === 'source' || victim === 'target' || victim === 'etcd') return []
  return errors.filter((error) => !error.startsWith(`${victim} `) && !/: 1213 /.test(error))
}

function outcomeOf(action: ActionView): string {
  if (action.state === 'done') return (action.result as { outcome?: string } | null)?.outcome ?? 'done'
  return action.errors.map((error) => error.code).join(' ') || 'failed'
}

/** A preflight may refuse what was only just put back: it is asked again. */
export async function askUntilHeld(
  { cluster, patienceMs }: TortureOptions,
  one: Pick<Case, 'step'>,
  asked: 'control1' | 'control2',
  verb: 'switchtraffic' | 'reversetraffic',
  args: object = {},
): Promise<ActionView> {
  for (let attempt = 1; ; attempt++) {
    const reshard = cluster.reshard(asked)
    await reshard.untilFollowing(patienceMs)
    cluster.holdSwitchAt(one.step)
    const action = await reshard.ask(verb, args)
    const early = await until(
      `the switch to come to ${one.step}`,
      async () => (cluster.switchIsHeld ? 'held' : ((await reshard.ended(action)) ?? null)),
      patienceMs,
    )
    if (early === 'held') return action
    cluster.letGo()
    if (attempt === 6) throw new Error(`the switch never came to ${one.step}: ${JSON.stringify(early.errors)} ${early.text.join('\n')}`)
  }
}

type Roles = { readonly leader: ProcessName; readonly standby: ProcessName; readonly serving: readonly ServerName[] }

/** Lays the fault; what it returns waits as long as it lasts and ends it. */
async function lay(options: TortureOptions, { fault, victim }: Case, roles: Roles): Promise<(how: 'resume' | 'reset') => Promise<void>> {
  const { cluster, random } = options
  const pastLeaseMs = cluster.leaseMs + 500
  const lasts = (ms: number): Promise<void> => clock.sleep(ms)
  if (victim === 'source' || victim === 'target' || victim === 'etcd') {
    const source = roles.serving
    const target: readonly ServerName[] = source.includes('whole') ? ['low', 'high'] : ['whole']
    const names = victim === 'source' ? source : target
    const name = names[Math.floor(random() * names.length)] ?? 'whole'
    const process_ = victim === 'etcd' ? cluster.etcd : cluster.server(name)
    if (fault === 'kill') {
      await process_.kill9()
      return async () => {
        await lasts(200)
        await process_.restart()
      }
    }
    if (fault === 'stop') {
      await process_.pause()
      return async () => {
        await lasts(pastLeaseMs)
        await process_.resume()
      }
    }
    cluster.proxy(victim === 'etcd' ? 'etcd' : name).blackhole()
    return async (how) => {
      await lasts(pastLeaseMs)
      cluster.heal(how)
    }
  }
  const name = victim === 'leader' ? roles.leader : victim === 'standby' ? roles.standby : victim
  const process_ = cluster.process(name)
  if (fault === 'kill') {
    const { restarts } = process_
    process_.signal('SIGKILL')
    return async () => void (await until(`${name} to be started again`, () => process_.restarts > restarts, options.patienceMs))
  }
  if (fault === 'stop') {
    process_.signal('SIGSTOP')
    return async () => {
      await lasts(pastLeaseMs)
      process_.signal('SIGCONT')
    }
  }
  cluster.cutOff(process_.pid)
  return async (how) => {
    await lasts(pastLeaseMs)
    cluster.heal(how)
  }
}

/** The record is stable, nobody is held, every stream follows, and every gate's clients are told yes again. */
async function comesRight({ cluster, ledger, patienceMs }: TortureOptions, asked: 'control1' | 'control2'): Promise<void> {
  await until(
    'the record to be stable',
    async () => (await cluster.routing()).components.every((component) => component.phase === 'stable' && component.hold === null),
    patienceMs,
  )
  await cluster.reshard(asked).untilFollowing(patienceMs)
  const atMs = clock.monotonicMs()
  await until(
    'clients of both gates to be told yes again',
    () => ['gate1', 'gate2'].every((gate) => ledger.activeSince(atMs).some((name) => name.startsWith(gate))),
    patienceMs,
  )
}

/** Nothing lost, nothing doubled, one writable side, and the other one in step. */
export async function judge({ cluster, ledger, patienceMs }: TortureOptions): Promise<string[]> {
  await ledger.pause(patienceMs)
  try {
    const serving = await cluster.serving()
    const other: ServerName[] = serving.includes('whole') ? ['low', 'high'] : ['whole']
    const content = await contentOf(cluster, serving)
    const wrong = ledger.judge(content)
    for (const name of serving) if (!(await takesWrites(cluster, name))) wrong.push(`${name} serves and takes no writes`)
    for (const name of other) if (await takesWrites(cluster, name)) wrong.push(`${name} does not serve and takes writes`)
    let differs: string | null = null
    await until(
      'the other side to be in step',
      async () => (differs = sameContent(content, await contentOf(cluster, other))) === null,
      patienceMs,
    ).catch((error: unknown) => wrong.push(`the side that follows differs: ${differs ?? String(error)}`))
    return wrong
  } finally {
    ledger.resume()
  }
}

export async function takesWrites(cluster: Cluster, name: ServerName): Promise<boolean> {
  let connection: mysql.Connection | null = null
  try {
    const { port } = cluster.server(name)
    connection = await mysql.createConnection({ host: '127.0.0.1', port, ...client, database: schemaOf[name], connectTimeout: 5_000 })
    connection.on('error', () => undefined)
    // Of a row that is there: armed triggers refuse rows, not statements.
    await connection.query('UPDATE counters SET n = n LIMIT 1')
    return true
  } catch (error) {
    const { errno = 0 } = error as { errno?: number }
    if ([1290, 3118, 4151].includes(errno)) return false
    throw error
  } finally {
    connection?.destroy()
  }
}
