/** Differences that stand, each with its reason. Whatever else differs fails. */

export type Known = { readonly flavour: 'mariadb' | 'mysql'; readonly clients: RegExp; readonly about: RegExp; readonly why: string }

const json =
  'MariaDB tells newer clients that a LONGTEXT is JSON (its extended metadata), and they parse it; the gate does not pass that on, so they get its text, as from MariaDB before 10.5'

const kept = 'a SET that the gate keeps for the session is answered by the gate, without the warning that a server may have had for it'

const cursor =
  "a server's cursor reads a temporary table, whose columns are described otherwise (and which Connector/J 9.1 can not always read on MySQL 9.7); the gate gives the rows at once, as without a cursor"
const ofCursors = / columns: |^echo |^types change|warnings: |ArrayIndexOutOfBounds|outcomes at the server|^metadata of/

export const known: readonly Known[] = [
  { flavour: 'mariadb', clients: /cursors/, about: ofCursors, why: cursor },
  { flavour: 'mysql', clients: /cursors/, about: ofCursors, why: cursor },
  { flavour: 'mysql', clients: /./, about: /^sql_mode back \(text\) warnings|^…\nQuery OK, 0 rows affected, 1 warning/, why: kept },
  {
    flavour: 'mariadb',
    clients: /Node|mysql2/,
    about: /^(column js|all columns) \((text|prepared)\) rows|^joined \(orm\) outcome: .*"data"/s,
    why: json,
  },
  { flavour: 'mariadb', clients: /command line/, about: /format=json/, why: json },
]
