/**
 * What the oracle asks, and how often: the specification of "any query" as numbers. `npm run oracle` prints the shares that came of it and fails
 * when one of `floors` is not reached; the chances below are set so that they are.
 */
export const weights = {
  /** Shares of all statements. */
  write: 0.22,
  transaction: 0.04,
  /** Of SELECTs: how often as a prepared statement with parameters. */
  prepared: 0.25,
  /** What `probes.ts` asks: a user variable, ids that are drawn or left open, another isolation level, what others write meanwhile, tables of an unsharded keyspace, by other vindexes, what the time is. */
  probe: 0.08,
  probes: {
    variable: 40,
    ids: 40,
    isolation: 15,
    meanwhile: 5,
    settings: 35,
    functions: 15,
    names: 10,
    beside: 30,
    placed: 70,
    moments: 25,
  },
  /** Of SELECTs of rows with a JSON column: one more item of it. */
  document: 0.5,

  /** How clauses name what the list has: by its alias; by its place, where not by that. */
  spelling: { alias: 0.3, place: 0.2 },
  /** Of two tables joined by USING: a table with itself, by NATURAL JOIN. */
  natural: 0.4,
  /** Of SELECTs with aggregates of all rows: beside a column that has one value, with an aggregate of theirs in a subquery. */
  besideAggregate: { column: 0.08, outer: 0.06 },
  /** Of HAVING: by a column that is neither listed nor grouped by, which no server takes. */
  havingUnlisted: 0.04,
  /** Of sums and averages: of rounded reals. Of ORDER BY and GROUP BY: by what a document is or says. */
  rounded: 0.12,
  byDocument: 0.1,
  /** Of SELECTs of rows in a full order: with the hint that sets a variable; and with what is no number in LIMIT. */
  hint: 0.04,
  badLimit: 0.005,

  /** The shape of a SELECT. */
  shape: { rows: 36, aggregate: 16, grouped: 22, distinct: 7, union: 7, window: 6, local: 2 },

  /** The FROM clause of a SELECT: how many tables, and what they are. */
  joins: { one: 50, two: 36, three: 14 },
  joinKind: { inner: 52, left: 30, right: 5, comma: 8, using: 5 },
  /** By what two tables are joined: the shard key of both, another column, an inequality. */
  joinOn: { sameKey: 42, keyToOther: 24, otherToOther: 26, textToText: 6, unequal: 2 },
  source: { sharded: 66, reference: 10, otherVindex: 10, derived: 8, cte: 6 },

  /** Each of these is added to a WHERE clause with the chance given. */
  where: {
    keyEquals: 0.2,
    keyIn: 0.1,
    comparison: 0.55,
    inSubquery: 0.09,
    existsSubquery: 0.09,
    scalarSubquery: 0.06,
    orTree: 0.08,
  },
  /** Of subqueries in WHERE: whether they name the outer row, and how. */
  subquery: { uncorrelated: 40, correlatedByKey: 35, correlatedByOther: 25 },
  scalarInList: 0.05,

  /** Aggregate functions by frequency of use. */
  aggregates: {
    count: 26,
    sum: 22,
    min: 12,
    max: 12,
    avg: 10,
    countDistinct: 6,
    sumDistinct: 2,
    groupConcat: 4,
    deviation: 3,
    bits: 3,
  },
  aggregateExpression: 0.14,
  having: 0.25,
  rollup: 0.04,
  groupByText: 0.35,
  groupByExpression: 0.15,

  orderBy: 0.6,
  orderByText: 0.3,
  orderByExpression: 0.15,
  limit: 0.45,
  offset: 0.35,

  /** Writes. */
  writes: {
    insertOne: 16,
    insertMany: 12,
    insertIgnore: 5,
    onDuplicate: 10,
    replace: 8,
    insertSelect: 7,
    insertSubquery: 4,
    document: 3,
    updateByKey: 16,
    updateKey: 4,
    updateScattered: 9,
    updateJoin: 4,
    updateSubquery: 3,
    updateLimit: 2,
    deleteByKey: 9,
    deleteScattered: 4,
    deleteJoin: 3,
    deleteSubquery: 2,
    deleteLimit: 2,
    reference: 4,
  },
} as const

/** Least shares of all SELECTs (joins …) that a run must have reached. */
export const floors = { join: 0.3, aggregate: 0.25, subquery: 0.15, collation: 0.1 } as const

/** Most that may be refused where one server answers: by category, of all SELECTs, of all writes. */
export const ceilings = { category: 0.25, select: 0.1, write: 0.05 } as const

/** What counts as a subquery or CTE. */
export const subqueryTags = ['in-subquery', 'exists', 'scalar-subquery', 'derived', 'cte']
