/** Statements bent out of shape, for all that reads them: lexer, parser, classification, planner, routing. */
import { isSwError } from '../../src/base/errors.ts'
import { classify } from '../../src/gate/passthrough.ts'
import { inputsOf, planner } from '../../src/gate/plan/testkit.ts'
import { routePlan } from '../../src/gate/plan/route.ts'
import { lexStatement } from '../../src/gate/statement-text.ts'
import { Lexer, type LexerMode } from '../../src/sql/lexer.ts'
import { parse } from '../../src/sql/parse.ts'
import { statements } from '../sql-60.cases.ts'
import { cpuMsOf } from '../kit/cpu-time.ts'
import type { Random } from '../models/random.ts'
import type { Finding } from './fuzz.ts'
import { grown } from './grown.ts'

const textsARound = 400
/** A text of at most this many bytes has no business taking longer than `slowMs`, on a busy machine too. */
const textBytesMax = 20_000
/** For as many rows as a text has room for: whoever routes an INSERT has drawn them. */
const drawn = Array.from({ length: textBytesMax }, (_, i) => BigInt(i + 1))
const slowMs = 1_000

const odd = [
  '(',
  ')',
  '((',
  ',',
  ';',
  '.',
  '..',
  '*',
  '/*',
  '*/',
  '/*!',
  '/*!50000 ',
  '/*+',
  '-- ',
  '--',
  '#',
  "'",
  "''",
  '"',
  '`',
  '\\',
  "\\'",
  "N'",
  "_utf8mb4'x'",
  "x'4",
  "x'41'",
  '0x',
  '0xAF',
  "b'01",
  '0b1',
  '1e',
  '1e999',
  '.5',
  '5.',
  '18446744073709551616',
  '?',
  '@',
  '@@',
  '@`a',
  ':=',
  '->',
  '->>',
  '<=>',
  '||',
  '&&',
  '!',
  '~',
  '\0',
  '\t',
  '\u00e9',
  '漢字',
  '\ud83d\ude00',
  ' NULL ',
  ' SELECT ',
  ' FROM ',
  ' users ',
  ' WHERE id = 1 ',
  ' UNION ALL ',
  ' WITH c AS (SELECT 1) ',
  ' CASE WHEN ',
  ' END ',
  ' BETWEEN ',
  ' AND ',
  ' IN (',
  ' NOT ',
  ' INTERVAL 1 DAY ',
  ' OVER (',
  ' LIMIT ',
  ' ON DUPLICATE KEY UPDATE ',
  ' VALUES (1,2),(3,4)',
  ' FOR UPDATE ',
  ' LEFT JOIN orders ON ',
  ' ROW(1,2) ',
  ' EXISTS (',
  ' COLLATE utf8mb4_bin ',
  ' ESCAPE ',
  ' GROUP BY ',
  ' HAVING ',
  ' ORDER BY ',
  ' SET ',
  ' USE app@',
  ' KILL ',
  ' DELIMITER ',
] as const

const more = [
  'INSERT INTO orders (id, user_id, amount) VALUES (1, 2, 3.5), (4, 5, 6) ON DUPLICATE KEY UPDATE amount = VALUES(amount)',
  'INSERT INTO log (user_id, note) SELECT id, name FROM users WHERE id = 3',
  "UPDATE users SET name = CONCAT(name, '!') WHERE id IN (1, 2, 3) ORDER BY id LIMIT 2",
  'DELETE o FROM orders o JOIN users u ON u.id = o.user_id WHERE u.id = 5',
  'WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT * FROM c',
  'SELECT a.id, ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY a.name DESC) FROM users a LEFT JOIN orders b ON a.id = b.user_id',
  "SET NAMES utf8mb4 COLLATE utf8mb4_bin, @x = 1, SESSION sql_mode = 'ANSI_QUOTES', @@global.y := DEFAULT",
  'START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT',
  "SHOW FULL COLUMNS FROM `users` FROM `app` LIKE '%a%'",
  'KILL QUERY 5',
  "CREATE TABLE t (id INT PRIMARY KEY, j JSON, g POINT, KEY (j)) COMMENT 'x'",
  "LOAD DATA LOCAL INFILE 'a' INTO TABLE users",
]
const corpus = [...statements, ...more]

export function fuzzTexts(random: Random, found: (finding: Finding) => void): number {
  for (let i = 0; i < textsARound; i++) {
    const text = random.chance(0.05)
      ? nested(random)
      : random.chance(0.02)
        ? random.pick(Object.values(grown))(random.below(300))
        : bent(random)
    const bytes = Buffer.from(text).subarray(0, textBytesMax)
    if (random.chance(0.1)) for (let k = 0; k < 3 && bytes.length > 0; k++) bytes[random.below(bytes.length)] = random.below(256)
    const mode = { ansiQuotes: random.chance(0.3), noBackslashEscapes: random.chance(0.3), pipesAsConcat: random.chance(0.3) }
    const ms = cpuMsOf(() => {
      for (const { name, run } of readers) {
        try {
          run(bytes, mode)
        } catch (error) {
          if (!isSwError(error))
            found({ target: name, what: error instanceof Error ? (error.stack ?? error.message) : String(error), input: show(bytes) })
        }
      }
    })
    if (ms > slowMs) found({ target: 'time', what: `${Math.round(ms)} ms for ${bytes.length} bytes`, input: show(bytes) })
  }
  return textsARound
}

const readers: readonly { name: string; run(text: Buffer, mode: LexerMode): void }[] = [
  { name: 'parser', run: (text, mode) => void parse(new Lexer().lex(text, 0, mode)) },
  { name: 'classification', run: (text, mode) => void classify(new Lexer().lex(text, 0, mode)) },
  {
    name: 'marks of modes',
    run: (text, mode) => void lexStatement(text, { ...mode, undecided: { modes: ['IGNORE_SPACE'], why: 'servers differ' } } as LexerMode),
  },
  {
    name: 'planner',
    run(text, mode) {
      const lexed = new Lexer().lex(text, 0, mode)
      const plan = planner.plan(lexed, { keyspace: 'app' })
      if (plan.kind !== 'routed') return
      const { sends } = routePlan(plan, { ...inputsOf('SELECT 1', [], drawn), lexed })
      // Lexers keep what they read until they read again.
      for (const sent of new Set(sends.map(({ text }) => text))) readAgain(sent, mode)
    },
  },
]

/** What is sent to a shard is a statement of the kind that came. */
function readAgain(sent: Buffer, mode: LexerMode): void {
  try {
    parse(new Lexer().lex(sent, 0, mode))
  } catch (error) {
    if (!isSwError(error)) throw error
    throw new Error(`a shard is sent what is not read: ${error.message}: ${sent.toString('latin1').slice(0, 300)}`)
  }
}

function bent(random: Random): string {
  let text: string = random.pick(corpus)
  for (let times = random.below(4); times >= 0; times--) {
    const at = random.below(text.length + 1)
    const to = Math.min(text.length, at + random.below(12))
    switch (random.below(6)) {
      case 0:
        text = text.slice(0, at) + random.pick(odd) + text.slice(at)
        break
      case 1:
        text = text.slice(0, at) + text.slice(to)
        break
      case 2:
        text = text.slice(0, at) + text.slice(at, to).repeat(1 + random.below(5)) + text.slice(to)
        break
      case 3:
        text = text.slice(0, at)
        break
      case 4: {
        const other: string = random.pick(corpus)
        text = text.slice(0, at) + other.slice(random.below(other.length)) + text.slice(to)
        break
      }
      default: {
        const words = text.split(' ')
        const a = random.below(words.length)
        const b = random.below(words.length)
        ;[words[a], words[b]] = [words[b] as string, words[a] as string]
        text = words.join(' ')
      }
    }
  }
  return text
}

/** One thing within itself, or after itself, very often. */
export const repeated: readonly (readonly [head: string, part: string, tail: string])[] = [
  ['SELECT ', '(', ''],
  ['SELECT ', '(', '1'],
  ['SELECT ', '-', '1'],
  ['SELECT ', '- ', '1'],
  ['SELECT ', 'NOT ', '1'],
  ['SELECT ', '!', '1'],
  ['SELECT 1', '+1', ''],
  ['SELECT 1', ' AND 1', ''],
  ['SELECT 1', ' IN (1', ''],
  ['SELECT 1', ',1', ''],
  ['SELECT ', 'CASE WHEN ', '1'],
  ['SELECT ', 'f(', '1'],
  ['SELECT * FROM ', '(SELECT * FROM ', 'users'],
  ['SELECT * FROM users', ' JOIN users', ''],
  ['SELECT * FROM users', ', users', ''],
  ['SELECT 1', ' UNION SELECT 1', ''],
  ['', '(', 'SELECT 1'],
  ['', 'WITH c AS (', 'SELECT 1'],
  ['INSERT INTO users (id) VALUES (1)', ',(1)', ''],
  ['SELECT * FROM users WHERE id IN (1', ',1', ')'],
  ['SELECT * FROM users WHERE ', 'id = 1 OR ', 'id = 2'],
  ['SELECT * FROM users WHERE ', 'EXISTS (SELECT 1 FROM users WHERE ', 'id = 2'],
  ['SELECT ', '/*', ''],
  ['SELECT ', '/*!50000 ', '1'],
  ['SELECT ', "''", ''],
  ['SELECT ', '\\', ''],
  ['SELECT a', '.a', ''],
  ['SELECT ', '@', ''],
  ['SELECT ', '?,', '?'],
]

function nested(random: Random): string {
  const [head, part, tail] = random.pick(repeated)
  return head + part.repeat(1 + random.below(Math.floor(textBytesMax / part.length))) + tail
}

/** Everything that reads a text reads it once. Errors of ours end it, as for a client. */
export function readAll(text: string): void {
  const bytes = Buffer.from(text)
  const mode = { ansiQuotes: false, noBackslashEscapes: false, pipesAsConcat: false }
  for (const { run } of readers) {
    try {
      run(bytes, mode)
    } catch (error) {
      if (!isSwError(error)) throw error
    }
  }
}

function show(bytes: Buffer): string {
  const text = JSON.stringify(bytes.toString('latin1'))
  return text.length > 600 ? `${text.slice(0, 600)}… (${bytes.length} bytes)` : text
}
