insert into teams (id) values ('a');
commit;
vacuum teams;
\copy teams from teams.csv
