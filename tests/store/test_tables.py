def test_a_new_store_has_exactly_the_tables_the_code_knows(store):
    from sqlalchemy import inspect

    from freehold.store.tables import metadata

    with store.database.reading() as connection:
        inspector = inspect(connection)
        assert set(inspector.get_table_names()) == set(metadata.tables)
        for table in metadata.tables.values():
            there = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert there == {column.name: column.nullable for column in table.columns}
            assert {index["name"] for index in inspector.get_indexes(table.name)} >= {
                index.name for index in table.indexes
            }
