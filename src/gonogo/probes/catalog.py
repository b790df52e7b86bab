"""Reads the catalog of one schema of a PostgreSQL database (13 to 18). Never writes.

One query a system catalog, all of them in one round trip, whatever the size of the schema. Needs no right on
any table: PostgreSQL lets every role read what its catalogs say.
"""

from __future__ import annotations

from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg.rows import tuple_row

from gonogo.pgsession import reading
from gonogo.schema import Catalog, objects_of

# What a definition looks like must not depend on who asks: names are written with their schemas, times in one
# style.
SETTLE: LiteralString = """
select set_config('search_path', '', true), set_config('quote_all_identifiers', 'off', true),
       set_config('DateStyle', 'ISO, MDY', true), set_config('IntervalStyle', 'postgres', true),
       set_config('TimeZone', 'UTC', true), set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true)
"""

EXTENSIONS: LiteralString = """
select e.extname, quote_ident(e.extname), quote_ident(n.nspname)
from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace order by 1
"""

TYPES: LiteralString = """
select t.oid, t.typname, format('%%I.%%I', n.nspname, t.typname),
       case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range' else 'composite' end,
       case t.typtype
         when 'e' then (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                        from pg_catalog.pg_enum e where e.enumtypid = t.oid)
         when 'd' then concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                case when t.typcollation <> b.typcollation then 'COLLATE ' || t.typcollation::regcollation end,
                'DEFAULT ' || t.typdefault,
                case when t.typnotnull then 'NOT NULL' end,
                (select string_agg(format('CONSTRAINT %%I %%s', k.conname, pg_get_constraintdef(k.oid)), ' '
                                   order by k.conname)
                 from pg_catalog.pg_constraint k where k.contypid = t.oid and k.contype <> 'n'))
         when 'r' then (select 'SUBTYPE = ' || format_type(r.rngsubtype, null)
                        from pg_catalog.pg_range r where r.rngtypid = t.oid)
         else (select string_agg(format('%%I %%s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
                                 order by a.attnum)
               from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
       end
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_type b on b.oid = t.typbasetype
left join pg_catalog.pg_class c on c.oid = t.typrelid
where n.nspname = %(schema)s and (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c')
  and not exists (select from pg_catalog.pg_depend x
                  where x.classid = 'pg_catalog.pg_type'::regclass and x.objid = t.oid and x.deptype = 'e')
"""

# Sequences of identity columns belong to their column, and are part of it.
SEQUENCES: LiteralString = """
select c.oid, c.relname, format('%%I.%%I', n.nspname, c.relname),
       case when m.nspname = n.nspname then t.relname end,
       case when t.oid is not null then format('%%I.%%I.%%I', m.nspname, t.relname, a.attname) end,
       format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_sequence s on s.seqrelid = c.oid
left join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid
  and d.deptype = 'a' and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjsubid > 0
left join pg_catalog.pg_class t on t.oid = d.refobjid
left join pg_catalog.pg_namespace m on m.oid = t.relnamespace
left join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where n.nspname = %(schema)s
  and not exists (select from pg_catalog.pg_depend x
                  where x.classid = 'pg_catalog.pg_class'::regclass and x.objid = c.oid and x.deptype in ('e', 'i'))
"""

TABLES: LiteralString = """
select c.oid, c.relname, format('%%I.%%I', n.nspname, c.relname), c.relkind::text, c.relpersistence::text,
       case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end,
       case when c.relispartition then
         (select format('%%s %%s', i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid))
          from pg_catalog.pg_inherits i where i.inhrelid = c.oid limit 1) end,
       case when not c.relispartition then
         (select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
          from pg_catalog.pg_inherits i where i.inhrelid = c.oid) end,
       c.relrowsecurity, c.relforcerowsecurity,
       case when c.relkind = 'f' then
         (select quote_ident(v.srvname) from pg_catalog.pg_foreign_table f
          join pg_catalog.pg_foreign_server v on v.oid = f.ftserver where f.ftrelid = c.oid) end,
       case c.relreplident when 'f' then 'FULL' when 'n' then 'NOTHING'
         when 'i' then 'USING INDEX ' || coalesce(
           (select quote_ident(x.relname)
            from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid
            where i.indrelid = c.oid and i.indisreplident), 'that is gone') end
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p', 'f')
  and not exists (select from pg_catalog.pg_depend x
                  where x.classid = 'pg_catalog.pg_class'::regclass and x.objid = c.oid and x.deptype = 'e')
"""

COLUMNS: LiteralString = """
select t.relname, a.attname, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid),
       case when a.attidentity <> '' then
         (select format('%%s (START WITH %%s INCREMENT BY %%s MINVALUE %%s MAXVALUE %%s %%s)',
                        case a.attidentity when 'a' then 'ALWAYS' else 'BY DEFAULT' end,
                        s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
                        case when s.seqcycle then 'CYCLE' else 'NO CYCLE' end)
          from pg_catalog.pg_depend x join pg_catalog.pg_sequence s on s.seqrelid = x.objid
          where x.refclassid = 'pg_catalog.pg_class'::regclass and x.refobjid = a.attrelid
            and x.refobjsubid = a.attnum and x.classid = 'pg_catalog.pg_class'::regclass and x.deptype = 'i') end,
       a.attgenerated::text,
       case when a.attcollation not in (0, y.typcollation) then a.attcollation::regcollation::text end,
       a.attislocal
from pg_catalog.pg_class t
join pg_catalog.pg_namespace o on o.oid = t.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = t.oid
join pg_catalog.pg_type y on y.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where o.nspname = %(schema)s and t.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
order by t.oid, a.attnum
"""

# From PostgreSQL 18, NOT NULL stands here too; the column says it already, unless older rows may break it.
# A foreign key to a partitioned table has a row for each partition there; the first one says it all.
CONSTRAINTS: LiteralString = """
select t.relname, k.conname, quote_ident(k.conname), k.contype::text, pg_get_constraintdef(k.oid), k.convalidated,
       coalesce(i.indisvalid and i.indisready, true),
       not exists (select from pg_catalog.pg_trigger g
                   where g.tgconstraint = k.oid and g.tgenabled not in ('O', 'A')),
       k.conparentid <> 0 or (k.coninhcount > 0 and not k.conislocal)
from pg_catalog.pg_class t
join pg_catalog.pg_namespace o on o.oid = t.relnamespace
join pg_catalog.pg_constraint k on k.conrelid = t.oid
left join pg_catalog.pg_index i on i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x')
where o.nspname = %(schema)s and t.relkind in ('r', 'p', 'f')
  and k.contype <> 't' and (k.contype <> 'n' or not k.convalidated)
  and not exists (select from pg_catalog.pg_constraint p where p.oid = k.conparentid and p.conrelid = k.conrelid)
order by t.relname, k.conname
"""

# The index behind a constraint is told with the constraint. What a partition has from its parent is made there.
INDEXES: LiteralString = """
select c.relname, format('%%I.%%I', o.nspname, c.relname), t.relname, m.amname, i.indisunique, i.indisvalid,
       i.indisready, pg_get_indexdef(c.oid), c.relispartition
from pg_catalog.pg_class t
join pg_catalog.pg_namespace o on o.oid = t.relnamespace
join pg_catalog.pg_index i on i.indrelid = t.oid
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = c.relam
where o.nspname = %(schema)s
  and not exists (select from pg_catalog.pg_constraint k
                  where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
order by c.relname
"""

VIEWS: LiteralString = """
select c.oid, c.relname, format('%%I.%%I', n.nspname, c.relname), c.relkind::text,
       array_to_string(c.reloptions, ', '), pg_get_viewdef(c.oid), c.relispopulated
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('v', 'm')
  and not exists (select from pg_catalog.pg_depend x
                  where x.classid = 'pg_catalog.pg_class'::regclass and x.objid = c.oid and x.deptype = 'e')
"""

FUNCTIONS: LiteralString = """
select p.oid,
       case when n.nspname = %(schema)s then '' else n.nspname || '.' end
         || p.proname || '(' || oidvectortypes(p.proargtypes) || ')',
       format('%%I.%%I(%%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       p.prokind::text,
       case when p.prokind <> 'a' then pg_get_functiondef(p.oid)
            else (select concat_ws(', ', 'SFUNC = ' || g.aggtransfn::regproc,
                                   'STYPE = ' || format_type(g.aggtranstype, null),
                                   'FINALFUNC = ' || nullif(g.aggfinalfn, 0)::regproc,
                                   'INITCOND = ' || quote_literal(g.agginitval))
                  from pg_catalog.pg_aggregate g where g.aggfnoid = p.oid) end
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where (n.nspname = %(schema)s
       or p.oid in (select g.tgfoid from pg_catalog.pg_class t
                    join pg_catalog.pg_namespace o on o.oid = t.relnamespace
                    join pg_catalog.pg_trigger g on g.tgrelid = t.oid
                    where o.nspname = %(schema)s and not g.tgisinternal))
  and n.nspname <> 'pg_catalog'
  and not exists (select from pg_catalog.pg_depend x
                  where x.classid = 'pg_catalog.pg_proc'::regclass and x.objid = p.oid and x.deptype in ('e', 'i'))
"""

# tgenabled: O fires normally, A always, R only on a replica, D never.
TRIGGERS: LiteralString = """
select t.relname, g.tgname, quote_ident(g.tgname), g.tgenabled::text,
       case when n.nspname = %(schema)s then '' else n.nspname || '.' end || p.proname || '()',
       pg_get_triggerdef(g.oid), g.tgparentid <> 0
from pg_catalog.pg_class t
join pg_catalog.pg_namespace o on o.oid = t.relnamespace
join pg_catalog.pg_trigger g on g.tgrelid = t.oid
join pg_catalog.pg_proc p on p.oid = g.tgfoid
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where o.nspname = %(schema)s and not g.tgisinternal
order by t.relname, g.tgname
"""

# They rewrite statements, so one that does INSTEAD NOTHING loses rows without a word. What makes a view is no rule.
RULES: LiteralString = """
select t.relname, r.rulename, quote_ident(r.rulename), r.ev_enabled::text, pg_get_ruledef(r.oid)
from pg_catalog.pg_class t
join pg_catalog.pg_namespace o on o.oid = t.relnamespace
join pg_catalog.pg_rewrite r on r.ev_class = t.oid
where o.nspname = %(schema)s and r.rulename <> '_RETURN'
order by t.relname, r.rulename
"""

# Who may see which rows, where row security is on.
POLICIES: LiteralString = """
select t.relname, p.polname, quote_ident(p.polname),
       concat_ws(' ', case when p.polpermissive then 'AS PERMISSIVE' else 'AS RESTRICTIVE' end,
         'FOR ' || case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE'
                                 when 'd' then 'DELETE' else 'ALL' end,
         'TO ' || (select string_agg(case when m.member = 0 then 'PUBLIC'
                                     else quote_ident(pg_get_userbyid(m.member)) end, ', '
                                     order by pg_get_userbyid(m.member))
                   from unnest(p.polroles) as m(member)),
         'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
         'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
from pg_catalog.pg_class t
join pg_catalog.pg_namespace o on o.oid = t.relnamespace
join pg_catalog.pg_policy p on p.polrelid = t.oid
where o.nspname = %(schema)s
order by t.relname, p.polname
"""

ELSEWHERE: LiteralString = """
select c.relname, (array_agg(n.nspname::text order by n.nspname))[1:5]
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname <> %(schema)s and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and c.relkind in ('r', 'p')
group by c.relname
"""

# Sessions in the role of a replica fire no ordinary trigger and check no foreign key.
SILENCED: LiteralString = """
select format('%%s, %%s: %%s',
              case when s.setdatabase = 0 then 'every database' else 'database ' || current_database() end,
              case when s.setrole = 0 then 'every role' else 'role ' || pg_get_userbyid(s.setrole) end, c.entry)
from pg_catalog.pg_db_role_setting s
cross join lateral unnest(s.setconfig) as c(entry)
where (s.setdatabase = 0 or s.setdatabase = (select d.oid from pg_catalog.pg_database d
                                             where d.datname = current_database()))
  and lower(c.entry) = 'session_replication_role=replica'
union all
select 'the server''s configuration: session_replication_role=replica'
from pg_catalog.pg_settings
where name = 'session_replication_role' and setting = 'replica'
  and source not in ('database', 'user', 'database user')
order by 1
"""

QUERIES: dict[str, LiteralString] = {
    "extensions": EXTENSIONS,
    "types": TYPES,
    "sequences": SEQUENCES,
    "tables": TABLES,
    "columns": COLUMNS,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "views": VIEWS,
    "functions": FUNCTIONS,
    "triggers": TRIGGERS,
    "rules": RULES,
    "policies": POLICIES,
    "elsewhere": ELSEWHERE,
    "silenced": SILENCED,
}
"""Queries by what they list; ``schema`` is the one parameter."""


def read_catalog(database_url: str, schema: str = "public", timeout_s: float = 10.0) -> Catalog:
    """Reads everything that makes up one schema, in one read-only session.

    What belongs to an extension is left out. Functions of other schemas are read where triggers of this one
    call them. A schema that does not exist has no objects.

    Args:
        database_url: libpq connection string or URL; what it says of ``sslmode`` holds.
        schema: the schema to look at.
        timeout_s: limit in seconds for connection and queries together.

    Raises:
        TargetError: refused, wrong credentials, too slow, or not a PostgreSQL server.
        ToolError: the connection string can't be read, or a catalog was closed to this role.
    """
    return reading(database_url, timeout_s, partial(_read, schema=schema))


def _read(connection: psycopg.Connection[Any], schema: str) -> Catalog:
    with connection.pipeline():
        connection.execute(SETTLE)
        cursors = {
            name: connection.cursor(row_factory=tuple_row).execute(query, {"schema": schema})
            for name, query in QUERIES.items()
        }
    rows = {name: cursor.fetchall() for name, cursor in cursors.items()}
    return Catalog(
        server_version=connection.info.parameter_status("server_version") or "",
        encrypted=bool(connection.pgconn.ssl_in_use),
        schema=schema,
        objects=tuple(objects_of(rows)),
        elsewhere={name: tuple(schemas) for name, schemas in rows["elsewhere"]},
        silenced=tuple(text for (text,) in rows["silenced"]),
    )
