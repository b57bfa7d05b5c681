insert into teams (id, name, size) values ('t-a', 'A', 3), ('t-b', 'B', 4) on conflict do nothing;
insert into teams values ('t-c', 'C');
insert into users (id, email, token, born, team_id, score, kind, tags, note)
select i + 1, 'u' || i || '@example.test', md5(i::text), now() - random() * interval '90 days',
       (select id from teams where name = 'A'), floor(random() * 100)::int + 1,
       (array['free', 'pro'])[1 + i % 2], '{a,b}'::text[], coalesce(null, 'x')
from generate_series(0, 99) as i;
insert into orders (id, user_id) select g, u.id from generate_series(1, 5) g cross join users u;
insert into big (id, month) select lpad(g::text, 2, '0'), now() - (g || ' months')::interval from generate_series(1, 100) g;
update teams set size = 1;
\copy teams from 'x.csv'
insert into broken (a) values (;
