/** sysbench, the mariadb command line and PyMySQL work through the gate during a whole 1 → 4 with switch and reverse. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ranges } from '../../src/demo/story.ts'
import { Installation, appPassword, appUser } from '../kit/installation.ts'
import { until } from '../kit/until.ts'
import { ReshardUnderTest } from '../kit/workflow.ts'

const keyspace = 'sbtest'
const tableRows = 10_000
const have = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const python = [join(tmpdir(), 'shardwright-venv', 'bin', 'python'), 'python3'].find(
  (one) => (one === 'python3' ? have(one) : existsSync(one)) && spawnSync(one, ['-c', 'import pymysql']).status === 0,
)

type Ended = { readonly code: number | null; readonly text: string }

test('promises 1, 10: clients of other makers work through the gate during a reshard', { timeout: 300_000 }, async (t) => {
  if (!have('sysbench') || !have('mariadb')) return t.skip('sysbench or the mariadb command line is not installed')
  if (python === undefined) t.diagnostic('PyMySQL is not installed: skipped')
  await using installation = await Installation.start({ rows: 1, keyspace: false })
  await reshardUnderClients(t, installation).catch((error: unknown) => {
    throw installation.describe(error)
  })
})

async function reshardUnderClients(t: TestContext, installation: Installation): Promise<void> {
  const existing = installation.existing.config
  await installation.onExisting(async (connection) => {
    await connection.query(`CREATE DATABASE ${keyspace}`)
    await connection.query(
      `CREATE TABLE ${keyspace}.notes (id BIGINT NOT NULL AUTO_INCREMENT, owner BIGINT NOT NULL, body VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL, raw VARBINARY(100) NOT NULL, amount DECIMAL(10,2) NOT NULL, PRIMARY KEY (id), KEY by_owner (owner)) ENGINE=InnoDB`,
    )
  })
  const direct = [
    '--mysql-host=127.0.0.1',
    `--mysql-port=${existing.port}`,
    `--mysql-user=${existing.user}`,
    `--mysql-password=${existing.password}`,
  ]
  const prepared = await sysbench('oltp_read_write', 'prepare', direct, [])
  assert.equal(prepared.code, 0, prepared.text)

  // How many deadlocks the workload makes for itself, on one unsharded server.
  const control = await sysbench('oltp_read_write', 'run', direct, ['--time=4', '--mysql-ignore-errors=1213'])
  assert.equal(control.code, 0, control.text)

  const { client } = installation
  await client.call('createKeyspace', {}, { name: keyspace, server: { ...existing, schema: keyspace } })
  const sequence = await client.call('createSequence', {}, { keyspace, table: 'notes', column: 'id' })
  await client.call(
    'applyVSchema',
    { keyspace },
    {
      vschema: {
        sharded: true,
        vindexes: { by_hash: { type: 'hash' } },
        tables: {
          sbtest1: { column_vindexes: [{ column: 'id', name: 'by_hash' }] },
          notes: {
            column_vindexes: [{ column: 'owner', name: 'by_hash' }],
            auto_increment: { column: 'id', sequence: `${sequence.keyspace}.${sequence.name}` },
          },
        },
      },
    },
  )
  await until('the gate to answer', () =>
    installation.throughGate(async (connection) => (await connection.query('SELECT COUNT(*) FROM sbtest1'), true), { database: keyspace }),
  )
  const gate = [
    '--mysql-host=127.0.0.1',
    `--mysql-port=${installation.gatePort}`,
    `--mysql-user=${appUser}`,
    `--mysql-password=${appPassword}`,
  ]
  const reshard = new ReshardUnderTest(client, 'under_clients', { sourceShards: ['-'], targetShards: ranges(4) }, keyspace)
  const deadlocks: number[] = []
  const pymysql = python === undefined ? null : pymysqlClient(python, installation.gatePort)
  try {
    for (const [round, modes] of [['auto', 'disable'] as const, ['disable', 'auto'] as const].entries()) {
      let moving = true
      const load = [
        repeated(() => moving, 'oltp_read_write', gate, [`--db-ps-mode=${modes[0]}`, '--mysql-ignore-errors=1213']),
        repeated(() => moving, 'oltp_point_select', gate, [`--db-ps-mode=${modes[1]}`, '--mysql-ignore-errors=none']),
      ]
      const ended = Promise.all(load)
      ended.catch(() => undefined)
      try {
        if (round === 0) {
          await reshard.create()
          await reshard.untilFollowing()
        }
        await commandLine(installation.gatePort)
        await reshard.act('switchtraffic')
        await commandLine(installation.gatePort)
        await reshard.act('reversetraffic')
        if (round === 1) await reshard.act('switchtraffic')
        await commandLine(installation.gatePort)
      } finally {
        moving = false
      }
      const names = ['oltp_read_write', 'oltp_point_select']
      for (const [index, runs] of (await ended).entries()) {
        for (const one of runs) assert.equal(one.code, 0, `${names[index]}: ${one.text}`)
        const figures = runs.map((one) => /transactions: +\d+ +\([\d.]+ per sec/.exec(one.text)?.[0]).join(' ), ')
        t.diagnostic(`${names[index]} --db-ps-mode=${modes[index]}: ${figures} )`)
      }
      deadlocks.push(...((await ended)[0] ?? []).map(ignoredErrors))
    }
    const vdiff = await reshard.vdiff()
    assert.equal(vdiff.state, 'clean', JSON.stringify(vdiff.tables))
    await reshard.act('complete')
    t.diagnostic(`deadlocks: ${deadlocks.join(' and ')} through the gate, ${ignoredErrors(control)} in the control run`)
    assert.ok(Math.max(...deadlocks) <= ignoredErrors(control) * 4 + 4, 'no more deadlocks than the workload makes for itself')
    const told = await pymysql?.stop()
    if (told !== undefined) {
      assert.equal(told.code, 0, told.text)
      t.diagnostic(`PyMySQL: ${told.text.trim()}`)
    }
    // Deletes and inserts of sysbench come in pairs.
    const rows = await installation.throughGate(
      async (connection) => ((await connection.query('SELECT COUNT(*) AS n FROM sbtest1'))[0] as { n: number }[])[0]!.n,
      { database: keyspace },
    )
    assert.equal(rows, tableRows)
  } finally {
    await pymysql?.stop()
  }
}

/** One run after the other, until what it is the load for is done: however long that takes on a busy machine. */
async function repeated(goOn: () => boolean, workload: string, connection: readonly string[], more: readonly string[]): Promise<Ended[]> {
  const runs: Ended[] = []
  do runs.push(await sysbench(workload, 'run', connection, ['--time=4', ...more]))
  while (goOn() && runs.at(-1)?.code === 0)
  return runs
}

function sysbench(workload: string, command: 'prepare' | 'run', connection: readonly string[], more: readonly string[]): Promise<Ended> {
  return run('sysbench', [
    '--db-driver=mysql',
    ...connection,
    `--mysql-db=${keyspace}`,
    '--mysql-ssl=off',
    '--tables=1',
    `--table-size=${tableRows}`,
    '--auto_inc=off',
    '--threads=3',
    '--rand-type=uniform',
    '--report-interval=0',
    ...more,
    workload,
    command,
  ])
}

function ignoredErrors(ended: Ended): number {
  return Number(/ignored errors: +(\d+)/.exec(ended.text)?.[1] ?? 0)
}

/** What a person types: each statement by itself, and a script with a transaction. */
async function commandLine(port: number): Promise<void> {
  const base = ['-h', '127.0.0.1', '-P', String(port), '-u', appUser, `-p${appPassword}`, '--batch', '--skip-column-names', keyspace]
  const typed = await run('mariadb', [
    ...base,
    '-e',
    'SELECT COUNT(*) FROM sbtest1 WHERE id IN (1, 2, 3); SHOW TABLES; SELECT id FROM sbtest1 ORDER BY id LIMIT 3; SELECT @@version IS NOT NULL',
  ])
  assert.equal(typed.code, 0, typed.text)
  const lines = typed.text.trim().split('\n')
  assert.ok(Number(lines[0]) <= 3 && lines.includes('sbtest1') && lines.includes('notes'), typed.text)
  const script =
    "BEGIN;\nINSERT INTO notes (owner, body, raw, amount) VALUES (1, 'typed', '', 1), (2, 'typed', '', 2), (3, 'typed', '', 3);\nSELECT COUNT(*) FROM notes WHERE owner IN (1, 2, 3) AND body = 'typed';\nROLLBACK;\nSELECT COUNT(*) FROM notes WHERE body = 'typed';\nstatus\n"
  const piped = await run('mariadb', base, script)
  assert.equal(piped.code, 0, piped.text)
  assert.deepEqual(piped.text.split('\n').slice(0, 2), ['3', '0'], piped.text)
}

function pymysqlClient(program: string, port: number): { stop(): Promise<Ended> } {
  const child = spawn(
    program,
    [join(import.meta.dirname, 'pymysql_client.py'), '127.0.0.1', String(port), appUser, appPassword, keyspace],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  const ended = new Promise<Ended>((done) => child.once('close', (code) => done({ code, text })))
  return {
    stop() {
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      return ended.finally(() => clearTimeout(timer))
    },
  }
}

function run(program: string, args: readonly string[], input = ''): Promise<Ended> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(input)
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (code) => done({ code, text }))
  })
}
