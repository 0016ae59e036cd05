import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

const scripts = join(import.meta.dirname, '..', 'scripts')

/** What the house rules say of a tree of these files. */
function rulesOn(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'sw-house-'))
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    const run = spawnSync(process.execPath, [join(scripts, 'check-imports.mjs'), '--root', root], { encoding: 'utf8' })
    const problems = run.stderr.split('\n').filter((line) => line !== '' && !line.endsWith('house rules broken'))
    assert.equal(run.status, problems.length > 0 ? 1 : 0)
    return problems
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const long = 'export const a = 1\n'.repeat(401)

const broken: [string, Record<string, string>, RegExp][] = [
  [
    'an import from a room above',
    { 'src/sql/a.ts': "\nimport { b } from '../gate/b.ts'\n" },
    /^src\/sql\/a\.ts:2: sql\/ may not import gate\/.*allowed: base, sql$/,
  ],
  [
    'an import over several lines',
    { 'src/gate/a.ts': "import {\n  b,\n} from '../move/b.ts'\n" },
    /^src\/gate\/a\.ts:3: gate\/ may not import move\//,
  ],
  ['a type import', { 'src/base/a.ts': "import type { B } from '../sql/b.ts'\n" }, /base\/ may not import sql/],
  ['a dynamic import', { 'src/base/a.ts': "const b = await import('../sql/b.ts')\n" }, /base\/ may not import sql/],
  ['a re-export', { 'src/base/a.ts': "export { b } from '../sql/b.ts'\n" }, /base\/ may not import sql/],
  [
    'a test that reaches into local/ without needing servers',
    { 'src/sql/a.test.ts': "import { b } from '../local/b.ts'\n" },
    /sql\/ may not import local/,
  ],
  ['the test kit in what is not a test', { 'src/sql/a.ts': "import { b } from '../../test/kit/b.ts'\n" }, /leads out of src\/; only tests/],
  ['environment outside main/', { 'src/gate/a.ts': 'export const a = process.env.A\n' }, /process\.env is read only in main/],
  ['arguments outside main/', { 'src/cli/a.ts': 'export const a = process.argv[2]\n' }, /process\.argv is read only in main/],
  ['a long file', { 'src/base/a.ts': long }, /src\/base\/a\.ts:1: 401 lines/],
  ['a long test', { 'test/a.test.ts': long }, /test\/a\.test\.ts:1: 401 lines/],
  ['a barrel', { 'src/base/index.ts': "export * from './a.ts'\n" }, /no barrels/],
  ['a room that is not in the table', { 'src/utils/a.ts': '' }, /no room of this name/],
  ['a file outside any room', { 'src/a.ts': '' }, /no room of this name/],
]

for (const [name, files, expected] of broken) {
  test(`house rules refuse ${name}`, () => {
    const problems = rulesOn(files)
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0]!, expected)
  })
}

test('house rules allow what the table says, through other rooms too, and what tests may', () => {
  const problems = rulesOn({
    'src/gate/a.ts': "import { b } from '../wire/b.ts'\nimport { c } from './c.ts'\nimport net from 'node:net'\nimport { z } from 'zod'\n",
    'src/control/a.ts': "import { b } from '../move/b.ts'\nimport { c } from '../api/c.ts'\n",
    'src/main/a.ts': "import { b } from '../gate/b.ts'\nexport const home = process.env['HOME']\n",
    'src/sql/a.test.ts': "import { b } from '../../test/kit/b.ts'\nconst seed = process.env.SEED\n",
    'src/move/a.db.test.ts': "import { b } from '../local/b.ts'\n",
    'src/base/a.ts': "// process.env is read in main/\n/*\n import { x } from '../gate/x.ts'\n*/\nexport const a = 1\n",
    'src/base/long.ts': `// long: one table\n${long}`,
  })
  assert.deepEqual(problems, [])
})

test('set-up says what is wrong with a server that was named, and what to do', () => {
  const setup = (env: Record<string, string>): string => {
    const run = spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `const { findServer } = await import(${JSON.stringify(join(scripts, 'find-server.mjs'))}); try { findServer('mysql') } catch (error) { console.log(error.message + ' // ' + error.ways.join()) }`,
      ],
      { encoding: 'utf8', env: { ...process.env, ...env } },
    )
    return run.stdout
  }
  assert.match(
    setup({ SHARDWRIGHT_MYSQLD: '/nowhere/mysqld' }),
    /\/nowhere\/mysqld: there is no such file \/\/ name a server program of 8\.4/,
  )
  assert.match(setup({ SHARDWRIGHT_MYSQLD: '/bin/false' }), /does not run/)
})
