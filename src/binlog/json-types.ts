/**
 * What the text of a JSON document of MySQL does not tell: which of its values are a DECIMAL, an UNSIGNED INTEGER that a signed one would hold, a DATE, TIME, DATETIME, TIMESTAMP, or bytes. Parsed
 * from the text they would be a DOUBLE, an INTEGER, strings. The cell of a document that has such values is its text with a list of them behind it:
 *
 *     {"at": "2024-02-29", "n": [1, 12.340]}␀["m1 DATE", "e2 DECIMAL 7"]␀
 *
 * `m` counts members of objects, `e` elements of arrays, `r` is the document itself (a scalar). Both are counted container by container, a container before those in it (the server's order of `$**.*` and
 * `$**[*]`): first all entries of one, then its entries that are containers, each with all that is in it. A DECIMAL has the bytes that it takes when stored alone, as its leading digits may take more than they need.
 *
 * A document's text has no byte 0 (it is escaped), so the last byte of a cell says whether it has a list. The server makes it in the SELECT that reads the row (`typedDocument`), the tail from the binary document (`json.ts`):
 * the same bytes (`column-values.db.test.ts`), so that all that compares or writes cells compares and writes types too.
 */
import type { Buffer } from 'node:buffer'

/** Text tells these. Any other, one that is not known here too, is listed. */
const told = "('OBJECT','ARRAY','STRING','INTEGER','DOUBLE','BOOLEAN','NULL')"

const text = (literal: string): string => `_utf8mb4'${literal}'`
const typed = (value: string): string =>
  `JSON_TYPE(${value}),IF(JSON_TYPE(${value})='DECIMAL',CONCAT(${text(' ')},JSON_STORAGE_SIZE(${value})),${text('')})`
const nul = "_utf8mb4 x'00'"

/**
 * Of a JSON column, by its quoted name. In any session: literals have their own charset, as JSON refuses binary ones.
 *
 * @param plain a condition under which a document surely has no list
 */
export function typedDocument(name: string, plain: string | null = null): string {
  const entry = `IFNULL(CONCAT(${text('m')},_sw_m,${text(' ')},${typed('_sw_v')}),CONCAT(${text('e')},_sw_e,${text(' ')},${typed('_sw_w')}))`
  // The CAST changes nothing, but a server that groups refuses the column itself there (1210, *tried*, 9.7.4).
  const list =
    `(SELECT IF(COUNT(*)=0,${text('')},CONCAT(${nul},JSON_ARRAYAGG(${entry}),${nul})) FROM JSON_TABLE(CAST(${name} AS JSON),${text('$')} COLUMNS(` +
    `NESTED PATH ${text('$**.*')} COLUMNS(_sw_m FOR ORDINALITY,_sw_v JSON PATH ${text('$')}),` +
    `NESTED PATH ${text('$**[*]')} COLUMNS(_sw_e FOR ORDINALITY,_sw_w JSON PATH ${text('$')}))) _sw_j ` +
    `WHERE JSON_TYPE(_sw_v) NOT IN ${told} OR JSON_TYPE(_sw_w) NOT IN ${told})`
  // Above max_allowed_packet CONCAT gives NULL, with no more than a warning: a document must not become one, nor lose its list. So that is an error.
  const whole = (parts: string): string =>
    `IFNULL(CONCAT(${name},${parts}),JSON_KEYS(CONCAT(${text('larger than max_allowed_packet: ')},JSON_TYPE(${name}))))`
  return (
    `CASE ${plain === null ? '' : `WHEN ${plain} THEN ${name} `}WHEN JSON_TYPE(${name}) IN ('OBJECT','ARRAY') THEN ${whole(list)} ` +
    `WHEN JSON_TYPE(${name}) NOT IN ${told} THEN ${whole(`${nul},JSON_ARRAY(CONCAT(${text('r ')},${typed(name)})),${nul}`)} ELSE ${name} END`
  )
}

/** Where the text of the document in data[from, end) ends. */
export function documentTextEnd(data: Buffer, from: number, end: number): number {
  return end > from && data[end - 1] === 0 ? data.lastIndexOf(0, end - 2) : end
}
