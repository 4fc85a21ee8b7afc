"""What Alembic runs: the migrations, on the connection that registry/migrate.py gives it."""

from alembic import context

from borne.fleet.registry.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
