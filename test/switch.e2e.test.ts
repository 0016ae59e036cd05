/**
 * Switches over etcd (where it is missing: over SQLite) with two control processes, two gates, and every process and server behind a proxy: a fixed few cases of
 * `npm run torture:switch`, the stale gate, the bound of the stall, and the log that all of it leaves.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SwitchReport } from '../src/switch/report.ts'
import { systemClock as clock } from '../src/base/clock.ts'
import { keyspace } from './kit/cluster.ts'
import { until } from './kit/until.ts'
import { askUntilHeld, judge, matching, runCase, unexplained } from './torture/switch-cases.ts'
import { startTorture } from './torture/switch-setup.ts'
import type { Torture } from './torture/switch-setup.ts'

describe('switches over etcd (over SQLite where it is missing), two controllers, two gates', () => {
  let torture: Torture
  before(async () => {
    torture = await startTorture({ flavour: 'mariadb', seed: 7, say: () => undefined, patienceMs: 60_000 })
  })
  after(() => torture[Symbol.asyncDispose]())

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      throw torture.cluster.describe(error)
    }
  }

  for (const pattern of ['decided/kill/leader', 'closed/cut/leader']) {
    test(`promises 1, 2, 9: ${pattern}: nothing lost or doubled, one writable side, finished or given up by itself`, () =>
      attempt(async () => {
        const [one] = matching(pattern)
        assert.ok(one)
        const { outcome, clientErrors } = await runCase(torture, one)
        // Decided is decided. Before that the standby gives up and begins anew, which the preflight may refuse on a machine that is busy.
        if (one.step === 'decided') assert.ok(['switched', 'done'].includes(outcome), outcome)
        else assert.match(outcome, /^(switched|done|SW-(SWITCH|CHANGE)-.*)$/)
        assert.deepEqual(unexplained(one, clientErrors), [], 'the death of a controller is nothing that a client sees')
      }))
  }

  for (const restarted of [false, true]) {
    const also = restarted ? ', also after the old server was killed and restarted' : ''
    test(`promise 2: a stale gate, stopped before the switch, never gets a write acknowledged by the old side${also}`, () =>
      attempt(async () => {
        const { cluster, ledger } = torture
        const old = await cluster.serving()
        const verb = old.includes('whole') ? 'switchtraffic' : 'reversetraffic'
        const reshard = cluster.reshard(await cluster.leader())
        await reshard.untilFollowing()
        // Its clients have statements in its sockets, and it has sessions on the old side.
        const gate = cluster.process('gate1')
        gate.signal('SIGSTOP')
        try {
          await reshard.actWhenReady(verb)
          assert.notDeepEqual(await cluster.serving(), old)
          if (restarted)
            for (const name of old) {
              await cluster.server(name).kill9()
              await cluster.server(name).restart()
            }
        } finally {
          gate.signal('SIGCONT')
        }
        const goneOnMs = clock.monotonicMs()
        await until('clients of the gate that woke up to be told yes', () =>
          ledger.activeSince(goneOnMs).some((name) => name.startsWith('gate1')),
        )
        await reshard.untilFollowing()
        assert.deepEqual(await judge(torture), [], 'what it was told yes to stands on the new side')
        for (const name of old) {
          const sessions = await cluster.onServer(name, async (connection) => {
            const [rows] = await connection.query("SELECT COUNT(*) AS n FROM information_schema.PROCESSLIST WHERE user = 'sw_gate'")
            return Number((rows as { n: number }[])[0]?.n)
          })
          assert.equal(sessions, 0, `a gate has a session on ${name}, which does not serve`)
        }
      }))
  }

  test('promise 7: past --max-stall the switch gives up and says why; clients go on where they were', () =>
    attempt(async () => {
      const { cluster, ledger } = torture
      const serving = await cluster.serving()
      const leader = await cluster.leader()
      const reshard = cluster.reshard(leader)
      const errorsBefore = ledger.errors.length
      const verb = serving.includes('whole') ? 'switchtraffic' : 'reversetraffic'
      const action = await askUntilHeld(torture, { step: 'tablesLocked' }, leader, verb, { maxStallMs: 1_000 })
      const mover = cluster.process('mover')
      mover.signal('SIGSTOP')
      try {
        cluster.letGo()
        const ended = await reshard.outcome(action)
        assert.equal(ended.state, 'failed')
        const report = ended.result as SwitchReport
        assert.equal(report.outcome, 'given up')
        assert.match(report.error?.code ?? '', /^SW-SWITCH-/)
        assert.ok((report.stallMs ?? Infinity) < 3_000, `clients were held for ${report.stallMs} ms`)
        assert.deepEqual(await cluster.serving(), serving)
      } finally {
        mover.signal('SIGCONT')
      }
      await reshard.untilFollowing()
      assert.deepEqual(await judge(torture), [])
      assert.deepEqual(ledger.errors.slice(errorsBefore), [])
    }))

  test('workflow log: requests, steps, decisions and outcomes of all of it, with who, when and what came of it', () =>
    attempt(async () => {
      const { cluster } = torture
      const log = await cluster.api(await cluster.leader()).call('workflowLog', { keyspace, name: 'split' })
      assert.deepEqual(
        log.map((entry) => entry.atMs),
        log.map((entry) => entry.atMs).toSorted((a, b) => a - b),
      )
      const of = (kind: string): typeof log => log.filter((entry) => entry.kind === kind)
      assert.ok(of('request').some((entry) => entry.verb === 'create' && entry.outcome === 'taken'))
      assert.ok(of('step').some((entry) => entry.what === 'drain under the fence' && entry.ms !== null))
      const decisions = of('decision').map((entry) => entry.what)
      assert.ok(
        decisions.some((what) => what.includes('writes and reads: - → -80,80-')),
        decisions.join('\n'),
      )
      assert.ok(
        decisions.some((what) => what.includes('given up: what served goes on serving')),
        decisions.join('\n'),
      )
      assert.ok(new Set(of('decision').map((entry) => entry.actor)).size >= 2, 'decisions of several controllers')
      assert.ok(of('refusal').some((entry) => /SW-CHANGE-\d+/.test(entry.what)))
      assert.ok(of('outcome').some((entry) => entry.outcome === 'failed'))
    }))
})
