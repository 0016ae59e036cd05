/**
 * Words that can't be a bare name here, because they begin a clause or an operator: reserved on both MySQL and MariaDB. Other reserved
 * words may pass as names; the server will say so itself.
 */
const reserved = new Set(
  `ALL AND AS ASC BETWEEN BY CASE CROSS DELETE DESC DISTINCT DISTINCTROW DIV DUAL ELSE EXCEPT EXISTS FOR FORCE FROM
   GROUP HAVING IGNORE IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN KEY LEFT LIKE LIMIT LOCK MATCH MOD NATURAL NOT NULL ON OR ORDER
   OUTER PROCEDURE REGEXP REPLACE RIGHT RLIKE SELECT SET STRAIGHT_JOIN TABLE THEN UNION UPDATE USE USING VALUES WHEN WHERE WINDOW WITH XOR`.split(
    /\s+/,
  ),
)
/** Not END: it ends a CASE only where no value is looked for. */
export function isReserved(word: string): boolean {
  return reserved.has(word)
}

/** Not reserved, yet they follow a table or a select list and are no alias there. */
const clauseWords = new Set(['OFFSET', 'FETCH', 'PARTITION', 'RETURNING', 'TABLESAMPLE', 'PROCEDURE'])

export function canBeAlias(word: string): boolean {
  return !reserved.has(word) && !clauseWords.has(word)
}
