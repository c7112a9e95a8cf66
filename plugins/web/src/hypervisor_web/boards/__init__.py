"""What is shown beside single events: agents, sagas, traces, sessions, and how all is delivered."""
