"""How noise is added and taken away: schedules and scores as functions of tensors, which know nothing of networks or crystals."""
