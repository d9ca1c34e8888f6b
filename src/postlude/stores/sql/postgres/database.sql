SELECT concat(system_identifier, ' ', current_database()) FROM pg_control_system()
