/** Changes to a table's definition that a move needs. Each returns a new definition; the given one stays. */
import { type ColumnElement, type ForeignKeyElement, type KeyElement, removeWords, type TableDefinition } from './table-definition.ts'

export function columnsOf(definition: TableDefinition): ColumnElement[] {
  return definition.elements.filter((element) => element.kind === 'column')
}

export function keysOf(definition: TableDefinition): KeyElement[] {
  return definition.elements.filter((element) => element.kind === 'key')
}

export function primaryKeyOf(definition: TableDefinition): KeyElement | null {
  return keysOf(definition).find((key) => key.type === 'primary') ?? null
}

export function foreignKeysOf(definition: TableDefinition): ForeignKeyElement[] {
  return definition.elements.filter((element) => element.kind === 'foreign-key')
}

/** The column with AUTO_INCREMENT, if any: a table has at most one. */
export function autoIncrementColumn(definition: TableDefinition): ColumnElement | null {
  return columnsOf(definition).find((column) => column.autoIncrement) ?? null
}

/** Without the attribute of the column and without the table's counter. */
export function withoutAutoIncrement(definition: TableDefinition): TableDefinition {
  const elements = definition.elements.map((element) =>
    element.kind === 'column' && element.autoIncrement
      ? { ...element, autoIncrement: false, text: removeWords(element.text, ['AUTO_INCREMENT'], false) }
      : element,
  )
  return { ...definition, elements, options: removeWords(definition.options, ['AUTO_INCREMENT'], true), autoIncrementNext: null }
}

/** Without the table's counter only: a copy starts its own. */
export function withoutAutoIncrementCounter(definition: TableDefinition): TableDefinition {
  return { ...definition, options: removeWords(definition.options, ['AUTO_INCREMENT'], true), autoIncrementNext: null }
}

export function withoutForeignKeys(definition: TableDefinition): TableDefinition {
  return { ...definition, elements: definition.elements.filter((element) => element.kind !== 'foreign-key') }
}

/**
 * Takes the secondary keys out, to be built at once when the rows are there: 1.0 s after 5.5 s of loading instead of 9.6 s
 * (FACTS: 2M rows). Kept: the primary key, the first key that begins with the AUTO_INCREMENT column, without which the server refuses the
 * table, what a foreign key needs, and unique keys unless `unique` says `too` and a primary key is there to write by. FULLTEXT keys each need a
 * statement of their own.
 *
 * @returns the definition without them, and their texts as they stand behind ADD
 */
export function deferSecondaryKeys(
  definition: TableDefinition,
  unique: 'kept' | 'too' = 'kept',
): { definition: TableDefinition; deferred: KeyElement[] } {
  const autoIncrement = autoIncrementColumn(definition)
  const foreign = foreignKeysOf(definition)
  const keys = keysOf(definition)
  const needed =
    autoIncrement === null || keys.some((key) => (key.type === 'primary' || key.type === 'unique') && key.columns[0] === autoIncrement.name)
      ? undefined
      : keys.find((key) => key.type === 'index' && key.columns[0] === autoIncrement.name)
  const deferred = keys.filter(
    (key) =>
      (key.type === 'index' ||
        key.type === 'fulltext' ||
        key.type === 'spatial' ||
        (key.type === 'unique' && unique === 'too' && key.columns[0] !== autoIncrement?.name && primaryKeyOf(definition) !== null)) &&
      key !== needed &&
      // A foreign key makes an index of its own when it finds none.
      !foreign.some((constraint) => constraint.columns.every((column, i) => key.columns[i] === column)),
  )
  return {
    definition: { ...definition, elements: definition.elements.filter((element) => !deferred.includes(element as KeyElement)) },
    deferred,
  }
}

/** The statements that build deferred keys: one ALTER TABLE for all, but one for each FULLTEXT key. */
export function addKeysStatements(quotedTable: string, keys: readonly KeyElement[]): string[] {
  const ordinary = keys.filter((key) => key.type !== 'fulltext')
  const statements = keys.filter((key) => key.type === 'fulltext').map((key) => `ALTER TABLE ${quotedTable} ADD ${key.text}`)
  if (ordinary.length > 0) statements.unshift(`ALTER TABLE ${quotedTable} ${ordinary.map((key) => 'ADD ' + key.text).join(', ')}`)
  return statements
}
