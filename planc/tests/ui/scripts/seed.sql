insert into teams (id, name) values ('t-platform', 'Platform');
