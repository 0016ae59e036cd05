// The tables of docs/sql.md: what becomes of each statement of test/sql-60.cases.ts over four shards, as the planner says (that the answers are one server's,
// sql-60.db.test.ts shows with the same statements), and what is refused, with the statements by which sql-refused.db.test.ts shows it.
//
//   node scripts/generate-sql.mjs [--check]
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { statements, tables, vschema } from '../test/sql-60.cases.ts'
import { sessions } from '../test/sql-refused-sessions.cases.ts'
import { reading, writing } from '../test/sql-refused.cases.ts'
import { parseVschema } from '../src/keyspace/vschema.ts'
import { resolveVschema } from '../src/keyspace/vschema-resolve.ts'
import { Planner } from '../src/gate/plan/planner.ts'
import { idsNeeded, routePlan } from '../src/gate/plan/route.ts'
import { Lexer } from '../src/sql/lexer.ts'
import { docsDir, generatedPage } from './generated-page.mjs'

const file = join(docsDir, 'sql.md')
const end = '<!-- end -->'

const columns = new Map(tables.map(read))
const keyspace = {
  name: 'app',
  vschema: resolveVschema(parseVschema(JSON.stringify(vschema))),
  schemaNamesEqual: false,
  columns: (name) => columns.get(name) ?? null,
}
const planner = new Planner({ generation: 0, keyspace: (name) => (name === 'app' ? keyspace : undefined) })
const lexer = new Lexer()
const shards = ['-40', '40-80', '80-c0', 'c0-']

/** A table's columns from the cases' own, simple DDL. */
function read(sql) {
  const [, name, body] = /^CREATE TABLE (\w+) \((.*)\)$/s.exec(sql)
  const primary = []
  const list = body.split(/,\s*(?![^(]*\))/).flatMap((text) => {
    const found = /^(\w+) (\w+)(?:\((\d+)[^)]*\))?(.*)$/s.exec(text.trim())
    if (found === null || found[1] === 'KEY' || found[1] === 'PRIMARY') return []
    const [, column, type, length, more] = found
    if (/PRIMARY KEY/.test(more)) primary.push(column)
    const text_ = /char|text/i.test(type)
    return [
      {
        name: column,
        dataType: type.toLowerCase(),
        unsigned: false,
        collation: text_ ? 'utf8mb4_general_ci' : null,
        lengthMax: length === undefined ? null : Number(length),
        nullable: !/NOT NULL|PRIMARY KEY/.test(more),
        invisible: false,
        generated: false,
        autoIncrement: false,
        hasDefault: false,
        padSpace: text_ ? true : null,
      },
    ]
  })
  return [name, { columns: list, uniqueKeys: primary.length === 0 ? [] : [primary] }]
}

function fate(sql) {
  const inputs = () => ({
    lexed: lexer.lex(Buffer.from(sql)),
    parameters: [],
    shards,
    shardOf: (id) => shards[(id[0] ?? 0) >> 6],
    schemaOf: (shard) => shard,
    anyShard: () => shards[0],
    session: () => ({ type: 'null' }),
    sequenceIds: [],
  })
  try {
    const plan = planner.plan(lexer.lex(Buffer.from(sql)), { keyspace: 'app' })
    if (plan.kind !== 'routed') return 'answered by the gate'
    if (idsNeeded(plan, inputs()) > 0) return 'with ids of a sequence'
    const { sends, merge, gather } = routePlan(plan, inputs())
    if (gather !== undefined)
      return gather.use.kind === 'read' ? 'from the rows of all, at one place' : 'rows chosen at one place, changed on their shards'
    if (sends.length === 1) return 'on one shard, as it is'
    if (plan.effect === 'write') return `on ${sends.length} shards, in one transaction`
    const how = { concat: 'one after the other', sort: 'merged in order', aggregate: 'aggregated' }[merge?.kind ?? 'concat']
    return `on ${sends.length} shards, ${how}`
  } catch (error) {
    if (error.code === undefined) throw error
    return `refused: ${error.code}`
  }
}

/** Code of a page, with backticks of its own too. */
const quoted = (text) => (text.includes('`') ? `\`\` ${cell(text)} \`\`` : `\`${cell(text)}\``)
const cell = (text) => text.replaceAll('|', '\\|')
const fates = ['| statement | over four shards |', '|---|---|', ...statements.map((sql) => `| ${quoted(sql)} | ${fate(sql)} |`)]

const servers = { mysql: 'on MySQL, ', mariadb: 'on MariaDB, ' }
const of = (parameters) =>
  parameters === undefined ? '' : ` of ${parameters.map((one) => (typeof one === 'string' ? `'${one}'` : one)).join(' and ')}`

const refusedTable = (refusals) => [
  '| refused | why | for example |',
  '|---|---|---|',
  ...refusals.map(({ what, why, on, before = [], parameters, statements: asked }) => {
    const [[sql, code]] = Object.entries(asked)
    return `| ${on === undefined ? '' : servers[on]}${cell(what)} | ${cell(why)} | ${quoted([...before, sql].join('; '))}${of(parameters)}: ${code} |`
  }),
]

const page = [
  ['<!-- from scripts/generate-sql.mjs -->', fates],
  ['<!-- refused: reading -->', refusedTable(reading)],
  ['<!-- refused: writing -->', refusedTable(writing)],
  ['<!-- refused: sessions -->', refusedTable(sessions)],
].reduce(
  (now, [start, lines]) => {
    const from = now.indexOf(start)
    const to = now.indexOf(end, from)
    if (from === -1 || to === -1) throw new Error(`${file} has no place for ${start}`)
    return `${now.slice(0, from + start.length)}\n${lines.join('\n')}\n${now.slice(to)}`
  },
  readFileSync(file, 'utf8'),
)
generatedPage('sql.md', page, 'node scripts/generate-sql.mjs')
