import type { Database } from './cases.ts'

/** Differences that stand, each with its reason. Whatever else differs fails. */

export type Known = {
  readonly on: readonly ('mariadb' | 'mysql' | Database)[]
  readonly clients: RegExp
  readonly about: RegExp
  readonly why: string
}

const kept = 'a SET that the gate keeps for the session is answered by the gate, without the warning that a server may have had for it'

const spliced = 'a text that goes to shards carries the values of user variables and USER(): their length and flags are those of a constant'

const gaps = 'whether a row that is refused draws an id is another matter for a sequence than for AUTO_INCREMENT: later ids differ'

const cursors = 'Connector/J counts no warnings of a text that it prepares for a cursor: at a server neither'

const otherType =
  'a prepared statement whose parameter was a number and is another text now is refused (SW-GATE-100): MySQL goes on with the number'
const echoed =
  /^echo \w+ \(prepared\) (?:(?:columns|rows): .* \/ …undefined…|errno: …undefined… \/ …1235…|sqlState: …undefined… \/ …"42000"…)$/

export const known: readonly Known[] = [
  { on: ['mysql'], clients: /./, about: /^sql_mode back \(text\) warnings|^…\nQuery OK, 0 rows affected, 1 warning/, why: kept },
  { on: ['shop'], clients: /./, about: /^(its value|current user) \((text|prepared)\) columns: /, why: spliced },
  { on: ['shop'], clients: /./, about: /^insert (in a transaction|after it|select) \(text\) (insertId|keys|lastrowid|id): /i, why: gaps },
  { on: ['shop'], clients: /./, about: echoed, why: otherType },
  { on: ['mariadb', 'mysql'], clients: /cursors/, about: /^(warning|comment) \(text\) warnings: …1… \/ …0…$/, why: cursors },
]
