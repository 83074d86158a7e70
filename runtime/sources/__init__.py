"""Where frames come from: images, videos, cameras and the network."""
