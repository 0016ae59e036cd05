import { defineErrors } from '../../base/errors.ts'

/** The planner's refusals: what would not be answered as one server would (promise 10). 100 to 199 of the gate's numbers. */
export const planErrors = defineErrors('GATE', {
  refused: {
    number: 100, class: 'user',
    what: '{construct} is not answered over several shards: {reason}',
    why: 'the gate answers as one unsharded server would, or not at all',
    fix: '{instead}',
  },
  unknownKeyspace: {
    number: 101, class: 'user',
    what: 'unknown database \'{keyspace}\'',
    why: 'no keyspace has that name',
    fix: 'SHOW DATABASES lists the keyspaces',
  },
  noKeyspace: {
    number: 102, class: 'user',
    what: 'no database selected',
    why: 'the statement names a table, and the session has chosen no keyspace',
    fix: 'USE one, or write keyspace.table',
  },
  tableNotInVschema: {
    number: 103, class: 'user',
    what: 'table {table} of keyspace {keyspace} is not in its vschema',
    why: 'without a vindex nobody knows on which shard its rows stand',
    fix: 'add it by: shardwright vschema apply {keyspace}',
  },
  unknownColumn: {
    number: 104, class: 'user',
    what: 'unknown column \'{column}\' in \'{clause}\'',
    why: 'none of the tables of the statement has it',
    fix: 'correct the name',
  },
  ambiguousColumn: {
    number: 105, class: 'user',
    what: 'column \'{column}\' in \'{clause}\' is ambiguous',
    why: 'more than one table of the statement has it',
    fix: 'write table.column',
  },
  crossKeyspace: {
    number: 106, class: 'user',
    what: 'one statement uses tables of several keyspaces: {keyspaces}',
    why: 'they stand on different servers',
    fix: 'ask each keyspace on its own',
  },
  crossShard: {
    number: 110, class: 'user',
    what: '{construct} would need rows of several shards together: {reason}',
    why: 'tables are joined inside a shard only: on equal shard keys, with reference tables, or with all tables restricted to one shard',
    fix: 'restrict each sharded table to one shard key value, join them on their shard keys, or make the small one a reference table',
  },
  shardKeyChange: {
    number: 120, class: 'user',
    what: 'the statement may change {table}.{column}, which decides on which shard the row stands',
    why: 'the row would stay where it is and never be found again',
    fix: 'in one transaction, DELETE the row and INSERT it with the new value',
  },
  shardKeyMissing: {
    number: 121, class: 'user',
    what: 'an INSERT into {table} gives no value for {column}, which decides on which shard the row stands',
    why: 'no shard can be chosen for the row',
    fix: 'give a constant or a parameter for {column}',
  },
  shardKeyValue: {
    number: 122, class: 'user',
    what: 'the value for {table}.{column} can not decide on which shard the row stands: {reason}',
    why: 'the server might store something else than what the gate would route by',
    fix: 'give a plain value of the column\'s own type',
  },
  lookupVindex: {
    number: 123, class: 'user',
    what: 'table {table} owns lookup vindex {vindex}, which the gate does not maintain yet',
    why: 'its rows would no longer be found through the lookup',
    fix: 'take the lookup out of the vschema, or write without the gate',
  },
  columnCount: {
    number: 124, class: 'user',
    what: 'column count doesn\'t match value count at row {row}',
    why: 'a row of VALUES has more or fewer values than there are columns',
    fix: 'give one value for each column',
  },
  textOrder: {
    number: 130, class: 'user',
    what: '{construct} compares text whose collation the gate can not reproduce (column {column})',
    why: 'over several shards, rows are ordered and grouped by the server\'s own weights, and those are not known here',
    fix: 'order or group by a column, by CAST(… AS BINARY), or restrict the statement to one shard',
  },
  badLimit: {
    number: 131, class: 'user',
    what: 'LIMIT and OFFSET take numbers that are not negative, not {value}',
    why: 'the value given is something else',
    fix: 'give a non-negative integer',
  },
  executableComment: {
    number: 132, class: 'user',
    what: 'the statement holds an executable comment whose meaning depends on the server\'s version',
    why: 'the gate would have to route by what it does not know to be run',
    fix: 'write the statement without /*! … */',
  },
  parameterCount: {
    number: 133, class: 'user',
    what: 'parameter {index} is used and not given',
    why: 'the statement was executed with fewer values than it has ?',
    fix: 'give a value for each ?',
  },
})
