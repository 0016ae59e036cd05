/**
 * A view's text for a target: what is qualified by the source's schema is qualified by the target's. Pure.
 *
 * Servers print views with every name written out (*tried*: MariaDB 10.11, MySQL 9.7; `views.ts` for the session): tables and stored functions as `schema`.`name`, columns as
 * `schema`.`table`.`column`, or as `table`.`column` where the table has an alias. So two parts alone do not tell what the first one is: a table may be called as its schema is
 * (`orders`.`orders`), and an alias too. Behind FROM, JOIN and a comma between tables stands a table, before a parenthesis a function; all else are columns, where two parts have no schema.
 *
 * Put in its place, not taken away: a column `orders`.`t`.`id` has to stay apart from `other`.`t`.`id`.
 */
import { Kind, Lexer, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { nameText } from '../sql/reader.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { splice, type Edit } from '../sql/splice.ts'

/** Where in a query the text of a parenthesis, or of no parenthesis, is. `tables`: behind FROM; `table`: the next name there is a table's. */
type Place = 'anywhere' | 'select list' | 'table' | 'tables'

/**
 * @param text as a session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES is shown it
 * @throws SW-SQL-001 to 003: it can not be read
 */
export function viewForTarget(text: string, sourceSchema: string, targetSchema: string): string {
  const lexed = new Lexer().lex(Buffer.from(text))
  const edits: Edit[] = []
  const outer: Place[] = []
  let place: Place = 'anywhere'
  let before = ''
  for (let token = 0; token < lexed.count;) {
    const parts = partsOfName(lexed, token)
    if (parts > 1) {
      const hasSchema = parts > 2 || place === 'table' || isOperator(lexed, token + 3, '(')
      if (hasSchema && nameText(latin1(lexed, token)) === sourceSchema)
        edits.push({ span: { from: token, to: token + 1 }, text: quoteIdentifier(targetSchema) })
    }
    const word = parts === 1 && tokenKind(lexed, token) === Kind.Word ? latin1(lexed, token).toUpperCase() : ''
    if (parts > 0) place = behindName(place, word, before)
    else if (isOperator(lexed, token, '(')) {
      outer.push(place === 'table' ? 'tables' : place)
      place = place === 'table' || ofSequences.has(before) ? 'table' : 'anywhere'
    } else if (isOperator(lexed, token, ')')) place = outer.pop() ?? 'anywhere'
    else if (isOperator(lexed, token, ',') && place === 'tables') place = 'table'
    before = word
    token += Math.max(1, 2 * parts - 1)
  }
  return splice(lexed, edits).toString()
}

/** What MariaDB makes of NEXT VALUE FOR and its like: their argument is a table's name. */
const ofSequences = new Set(['NEXTVAL', 'LASTVAL', 'SETVAL'])

const endTables = new Set(['WHERE', 'GROUP', 'HAVING', 'ORDER', 'LIMIT', 'WINDOW', 'UNION', 'EXCEPT', 'INTERSECT', 'WITH'])

/** @param word in capitals; '' for a name in quotes or of several parts */
function behindName(place: Place, word: string, before: string): Place {
  // Those of EXTRACT(… FROM …) and TRIM stand in parentheses without a SELECT.
  if (word === 'FROM') return place === 'select list' ? 'table' : place
  if (word === 'JOIN' || word === 'STRAIGHT_JOIN') return place === 'tables' ? 'table' : place
  if (word === 'SELECT') return 'select list'
  if (word === 'LATERAL') return place
  // CREATE … VIEW; behind it only names are called so.
  if (word === 'VIEW' && place === 'anywhere') return 'table'
  // USE INDEX FOR ORDER BY (…)
  if (endTables.has(word)) return before === 'FOR' ? place : 'anywhere'
  return place === 'table' ? 'tables' : place
}

/** How many parts the name has that begins here; 0: none does. */
function partsOfName(lexed: Lexed, token: number): number {
  if (!isName(lexed, token)) return 0
  let parts = 1
  while (isOperator(lexed, token + 2 * parts - 1, '.') && isName(lexed, token + 2 * parts)) parts++
  return parts
}

function isName(lexed: Lexed, token: number): boolean {
  if (token >= lexed.count) return false
  const kind = tokenKind(lexed, token)
  return kind === Kind.Word || kind === Kind.QuotedName
}

function isOperator(lexed: Lexed, token: number, operator: string): boolean {
  return token < lexed.count && tokenKind(lexed, token) === Kind.Operator && latin1(lexed, token) === operator
}

function latin1(lexed: Lexed, token: number): string {
  return lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token))
}
